"""Provides the laboratory: the arguments of its commands, and studies as Python functions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from labelgrid.api.door import (
    CommandRequest,
    Cost,
    Count,
    Positive,
    asks,
    check_arguments,
    needed_packages,
)
from labelgrid.api.places import Place, optional_path
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Progress, Silent, StudyProgress
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import Unit

if TYPE_CHECKING:
    from labelgrid.lab.simulation.analyse import AnalysisResult
    from labelgrid.lab.simulation.run_study import StudyResult
    from labelgrid.lab.simulation.study_plan import StudyPlan
    from labelgrid.lab.simulation.study_request import StudyRequest
    from labelgrid.report.write_report import WrittenReport


P = ParamSpec("P")
T = TypeVar("T")


class SimulateRequest(
    CommandRequest,
    study="-",
    progress="-",
    recipe="[RECIPE]",
    data="--data FOLDER!",
    weights="--weights FILE!",
    strategies="--strategy",
    only="--tasks",
    on="--on PLACE",
):
    """The arguments of `labelgrid.simulate` and `labelgrid.estimate`.

    Args:
        recipe: a recipe with a table [simulate], by name or path; empty: the recipe in `out`, which
            is made from the project's own recipe and labels if missing.
        data: the data set's root; without `recipe`, the folder of a project.
        out: the folder of all runs; an existing one is resumed.
        weights: a local file of backbone weights. None fetches them if the recipe asks for
            pretrained weights.
        strategies: arms or strategies to run instead of the recipe's.
        only: only these of the recipe's tasks.
        seeds: the number of seeds instead of the recipe's.
        rounds: the number of rounds instead of the recipe's.
        initial: the number of images with all labels at first instead of the recipe's.
        budget: the budget of a round instead of the recipe's.
        unit: what the budget counts instead of the recipe's.
        single: also train a network for each task alone.
        jobs: parallel runs; 0: one per processor core.
        on: where the runs are executed: processes of this machine, ray, ray:ADDRESS, slurm.
        force: resume although the code of your own plug-in changed; the report notes it.
        study: further keys of [simulate] and their values.
        progress: receives the progress of reading images, and the status of each run; None: silent.
    """

    recipe: str | None
    data: Place
    out: Place
    _: KW_ONLY
    weights: Place | None = None
    strategies: Iterable[str] | None = None
    only: Iterable[str] | None = None
    seeds: Positive | None = None
    rounds: Count | None = None
    initial: Positive | None = None
    budget: Cost | None = None
    unit: Unit | None = None
    single: bool | None = None
    jobs: Count = 0
    on: str = "processes"
    force: bool = False
    study: Mapping[str, Any] | None = None
    progress: StudyProgress | None = None

    def changes(self) -> dict[str, Any]:
        """The values that replace the recipe's."""
        keys = ("strategies", "only", "seeds", "rounds", "initial", "budget", "unit", "single")
        named = {key: self[key] for key in keys if self[key] is not None}
        return {**(self.study or {}), **named}


class AnalyseRequest(
    CommandRequest,
    progress="-",
    folder="STUDY",
    name="NAME",
    out="--out FOLDER",
    values="--set KEY=VALUE",
    strategies="--strategy",
):
    """The arguments of `labelgrid.analyse`.

    Args:
        folder: the folder of a finished study.
        name: the analysis; see `labelgrid list analyses`.
        out: a folder for the tables (CSV) and drawings (SVG, PNG). None writes nothing.
        values: options of the analysis.
        strategies: only the runs of these arms or strategies; further runs may be unfinished.
        progress: receives the progress; None: silent.
    """

    folder: Place
    name: str
    out: Place | None = None
    _: KW_ONLY
    values: Mapping[str, Any] | None = None
    strategies: Iterable[str] = ()
    progress: Progress | None = None


class ScenesRequest(CommandRequest, out="OUT"):
    """The arguments of `labelgrid scenes`.

    Args:
        out: the data set's folder; an existing one is extended.
        count: the total number of scenes.
        size: HEIGHTxWIDTH in pixels.
        seed: the seed of rooms, cameras and light.
        samples: light paths per pixel; fewer give more noise.
        frames: scenes of each room, from slightly moved cameras.
        jobs: parallel processes; 0: one per processor core.
    """

    out: Place
    _: KW_ONLY
    count: Positive = 500
    size: str = "96x128"
    seed: int = 0
    samples: Positive = 16
    frames: Positive = 1
    jobs: Count = 0


def need_laboratory() -> None:
    """Refuse the laboratory's work where the laboratory was left out.

    Raises:
        UsageError: it was.
    """
    from labelgrid.basics.plugins import has_laboratory

    if not has_laboratory():
        raise UsageError(
            "This labelgrid has no laboratory: studies, their reports and scenes are left out.",
            next_step="Install labelgrid whole; projects need none of it.",
            unchanged="Nothing was done.",
        )


def _of_laboratory(function: Callable[P, T]) -> Callable[P, T]:
    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> T:
        need_laboratory()
        with needed_packages():
            return function(*arguments, **named)

    return checked


@_of_laboratory
@check_arguments
@asks(SimulateRequest, "study")
def simulate(request: SimulateRequest) -> "StudyResult":
    """Run simulated campaigns: arms × seeds × recipe keys, labels hidden until they are bought.

    Each run is a separate process, so a script must call this below `if __name__ == "__main__":`.
    Returns the status of each run, and the records of their results. Arguments of other names are
    of `study`, such as `full=False`.

    Raises:
        LabelgridError: a name or value is wrong, or the folder holds another study; nothing was
            run.
    """
    from labelgrid.lab.simulation.run_study import SilentStudy, run_study

    progress = request.progress or SilentStudy()
    with _opened_study(request, progress) as study:
        return run_study(study, progress)


@_of_laboratory
@check_arguments
@asks(SimulateRequest, "study")
def estimate(request: SimulateRequest) -> "StudyPlan":
    """Plan a study without running or writing anything: runs, networks, steps, labels and time.

    The arguments are those of `simulate`. The time is known once a run of the folder has finished
    its first steps. Arguments of other names are of `study`.

    Raises:
        LabelgridError: what `simulate` would refuse, but for weights that cannot be fetched: the
            plan's `missing` says so.
    """
    from labelgrid.lab.simulation.study_plan import plan_study

    with _opened_study(replace(request, on="processes"), request.progress or Silent()) as study:
        return plan_study(study)


@contextmanager
def _opened_study(request: SimulateRequest, progress: Progress) -> "Iterator[StudyRequest]":
    """The checked request of a study; without a recipe, of the project's own labels."""
    from labelgrid.lab.simulation.study_request import StudyRequest

    root = Path(request.data)
    folder = Path(request.out)
    file = optional_path(request.weights)
    changes = request.changes()
    options: Json = {
        "changes": changes,
        "jobs": request.jobs,
        "force": request.force,
        "on": request.on,
    }
    if request.recipe is not None:
        yield StudyRequest.of(request.recipe, root, folder, weights=file, **options)
        return
    from labelgrid.executors.workplace import executor_at
    from labelgrid.lab.simulation.own_labels import own_study  # a recipe needs none of it

    may_make = executor_at(request.on, request.jobs, "labelgrid").share.is_all
    with own_study(root, folder, options=changes, progress=progress, may_make=may_make) as study:
        weights = file or study.weights
        yield StudyRequest.of(str(study.recipe), study.root, folder, weights=weights, **options)


@_of_laboratory
@check_arguments
@asks(AnalyseRequest, "values")
def analyse(request: AnalyseRequest) -> "AnalysisResult":
    """Analyse a finished study with its hidden labels.

    Such as the errors on the cells that were picked. The study is not changed. Arguments of other
    names are of `values`, such as `sample=200`.

    Raises:
        LabelgridError: there is no finished study, a strategy is unknown, or networks are gone;
            nothing was written.
    """
    from labelgrid.lab.simulation.analyse import analyse

    return analyse(
        Path(request.folder),
        request.name,
        out=optional_path(request.out),
        options=request.values or {},
        progress=request.progress,
        strategies=list(request.strategies),
    )


@check_arguments
def report(
    folder: Place,
    out: Place | None = None,
    *,
    plots: Place | None = None,
    pictures: bool = False,
    progress: Progress | None = None,
) -> "WrittenReport":
    """Write the report of a project or a study as one self-contained HTML file.

    Args:
        folder: the folder of the project or the study.
        out: the HTML file; None: `report.html` in the folder.
        plots: a folder for each figure as SVG and PNG.
        pictures: predict the shown cells that have no pictures yet; loads the model.
        progress: receives the progress; None: silent.

    Raises:
        LabelgridError: the folder holds neither, or the file cannot be written.
    """
    shown = progress or Silent()
    shown.start("Reading what was measured", 1, "steps")  # loading the report's modules takes long
    from labelgrid.project.folder import is_study
    from labelgrid.report.write_report import write_report

    folder = Path(folder)
    write = write_report
    if is_study(folder):
        need_laboratory()
        from labelgrid.lab.reports.write_study import write_study_report

        write = write_study_report
    page = optional_path(out) or folder / "report.html"
    return write(folder, page, optional_path(plots), pictures=pictures, progress=shown)


def rows_of_study(values: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The columns and rows of delta_mtl among the values of a report; of a project's, none."""
    if "points" not in values:
        return (), ()
    from labelgrid.lab.reports.json_values import delta_mtl_rows

    return delta_mtl_rows(values)
