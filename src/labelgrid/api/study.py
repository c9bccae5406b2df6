"""Provides studies as Python functions, which do the same as the commands `simulate` and `analyse`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.api.project import Place

if TYPE_CHECKING:
    from labelgrid.progress import Progress
    from labelgrid.simulation.analyse import AnalysisResult
    from labelgrid.simulation.run_study import StudyProgress, StudyResult


def simulate(
    recipe: str,
    data: Place,
    out: Place,
    *,
    weights: Place = "",
    progress: "StudyProgress | None" = None,
    jobs: int = 0,
    force: bool = False,
    **study: Any,
) -> "StudyResult":
    """Run or resume a study: simulated campaigns over a data set whose labels are hidden until they are bought.

    Each run is a separate process, so a script must call this below `if __name__ == "__main__":`.
    Returns the status of each run, and the records of their results.

    Args:
        recipe: the name or path of a recipe with a table [simulate].
        data: the data set's root.
        out: the folder of all runs; an existing study in it is resumed.
        weights: a local file of backbone weights; "" fetches them if the recipe asks for pretrained
            weights.
        progress: receives the progress of reading images, and the status of each run; None: silent.
        jobs: the number of runs at a time; 0: one per processor core.
        force: resume a study although the code of your own plug-ins has changed.
        study: overrides of keys of [simulate], such as `strategies=["partal"], seeds=3, rounds=5`.

    Raises:
        LabelgridError: a name or value is wrong, or the folder holds another study; nothing was
            run.
    """
    from labelgrid.simulation.request import StudyRequest
    from labelgrid.simulation.run_study import run_study

    file = Path(weights) if weights else None
    return run_study(
        StudyRequest.of(
            recipe, Path(data), Path(out), weights=file, changes=study, jobs=jobs, force=force
        ),
        progress,
    )


def analyse(
    study: Place,
    name: str,
    out: Place = "",
    *,
    progress: "Progress | None" = None,
    strategies: Sequence[str] = (),
    **options: Any,
) -> "AnalysisResult":
    """Analyse a finished study with its hidden labels. The study is not changed.

    Args:
        study: the study's folder.
        name: the analysis, such as "picks"; see `labelgrid list analyses`.
        out: a folder for its tables and drawings; "" writes nothing.
        progress: receives the progress; None: silent.
        strategies: only the runs of these arms or strategies are read, and must be finished; () is
            all runs.
        options: of the analysis, such as `sample=200`.

    Raises:
        LabelgridError: there is no finished study, a strategy is unknown, or networks are gone;
            nothing was written.
    """
    from labelgrid.simulation.analyse import analyse

    return analyse(
        Path(study),
        name,
        out=Path(out) if out else None,
        options=options,
        progress=progress,
        strategies=strategies,
    )
