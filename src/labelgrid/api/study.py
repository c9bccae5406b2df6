"""Provides studies as Python functions, on which the commands of the same names stand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from labelgrid.api.door import Count, check_arguments, needed_packages
from labelgrid.api.places import Place, optional_path
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Silent
from labelgrid.basics.type_names import Json, Values

if TYPE_CHECKING:
    from labelgrid.basics.progress import Progress
    from labelgrid.lab.simulation.analyse import AnalysisResult
    from labelgrid.lab.simulation.run_study import StudyProgress, StudyResult
    from labelgrid.lab.simulation.study_plan import StudyPlan
    from labelgrid.lab.simulation.study_request import StudyRequest
    from labelgrid.report.write_report import WrittenReport


P = ParamSpec("P")
T = TypeVar("T")


def need_laboratory() -> None:
    """Refuse the laboratory's work where the laboratory was left out.

    Raises:
        UsageError: it was.
    """
    if find_spec("labelgrid.lab") is None:
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
def simulate(
    recipe: str | None,
    data: Place,
    out: Place,
    *,
    weights: Place | None = None,
    progress: "StudyProgress | None" = None,
    jobs: Count = 0,
    force: bool = False,
    on: str = "processes",
    **study: Any,
) -> "StudyResult":
    """Run simulated campaigns: arms × seeds × recipe keys, labels hidden until they are bought.

    Each run is a separate process, so a script must call this below `if __name__ == "__main__":`.
    Returns the status of each run, and the records of their results.

    Args:
        recipe: the name or path of a recipe with a table [simulate]; None: the one in `out`, which
            is made of the project's own recipe and labels if there is none.
        data: the data set's root; without a recipe, the folder of a project.
        out: the folder of all runs; an existing study in it is resumed.
        weights: a local file of backbone weights; None fetches them if the recipe asks for
            pretrained weights.
        progress: receives the progress of reading images, and the status of each run; None: silent.
        jobs: the number of runs at a time; 0: one per processor core.
        force: resume a study although the code of your own plug-ins has changed.
        on: the place where the runs are executed: "processes" of this machine, "ray",
            "ray:ADDRESS", "slurm".
        study: overrides of keys of [simulate], such as `strategies=["partal"], seeds=3, rounds=5`.

    Raises:
        LabelgridError: a name or value is wrong, or the folder holds another study; nothing was
            run.
    """
    from labelgrid.lab.simulation.run_study import SilentStudy, run_study

    progress = progress or SilentStudy()
    with _opened_request(
        recipe, data, out, weights, changes=study, progress=progress, jobs=jobs, force=force, on=on
    ) as request:
        return run_study(request, progress)


@_of_laboratory
@check_arguments
def estimate(
    recipe: str | None,
    data: Place,
    out: Place,
    *,
    weights: Place | None = None,
    jobs: Count = 0,
    force: bool = False,
    **study: Any,
) -> "StudyPlan":
    """Plan a study without running or writing anything: runs, networks, steps, labels and time.

    The arguments are those of `simulate`. The time is known once a run of the folder has finished
    its first steps.

    Raises:
        LabelgridError: what `simulate` would refuse, but for weights that cannot be fetched: the
            plan's `missing` says so.
    """
    from labelgrid.lab.simulation.study_plan import plan_study

    with _opened_request(
        recipe, data, out, weights, changes=study, progress=Silent(), jobs=jobs, force=force
    ) as request:
        return plan_study(request)


@contextmanager
def _opened_request(
    recipe: str | None,
    data: Place,
    out: Place,
    weights: Place | None,
    *,
    changes: Values,
    progress: "Progress",
    jobs: int,
    on: str = "processes",
    force: bool,
) -> Iterator["StudyRequest"]:
    """The checked request of a study; without a recipe, of the project's own labels."""
    from labelgrid.lab.simulation.study_request import StudyRequest

    root = Path(data)
    folder = Path(out)
    file = optional_path(weights)
    options: Json = {"changes": changes, "jobs": jobs, "force": force, "on": on}
    if recipe is not None:
        yield StudyRequest.of(recipe, root, folder, weights=file, **options)
        return
    from labelgrid.executors.workplace import executor_at
    from labelgrid.lab.simulation.own_labels import own_study  # a recipe needs none of it

    may_make = executor_at(on, jobs, "labelgrid").share.is_all
    with own_study(root, folder, options=changes, progress=progress, may_make=may_make) as own:
        weights = file or own.weights
        yield StudyRequest.of(str(own.recipe), own.root, folder, weights=weights, **options)


@_of_laboratory
@check_arguments
def analyse(
    folder: Place,
    name: str,
    out: Place | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    strategies: Sequence[str] = (),
    progress: "Progress | None" = None,
    **options: Any,
) -> "AnalysisResult":
    """Analyse a finished study with its hidden labels.

    Such as the errors on the cells that were picked.

    The study is not changed.

    Args:
        folder: the study's folder.
        name: the analysis, such as "picks"; see `labelgrid list analyses`.
        out: a folder for its tables and drawings; None writes nothing.
        values: options of the analysis, by name.
        strategies: only the runs of these arms or strategies are read, and must be finished; () is
            all runs.
        progress: receives the progress; None: silent.
        options: more options of the analysis, such as `sample=200`.

    Raises:
        LabelgridError: there is no finished study, a strategy is unknown, or networks are gone;
            nothing was written.
    """
    from labelgrid.lab.simulation.analyse import analyse

    return analyse(
        Path(folder),
        name,
        out=optional_path(out),
        options={**(values or {}), **options},
        progress=progress,
        strategies=strategies,
    )


@check_arguments
def report(
    folder: Place,
    out: Place | None = None,
    *,
    plots: Place | None = None,
    pictures: bool = False,
    progress: "Progress | None" = None,
) -> "WrittenReport":
    """Write the report of a project or a study as one self-contained HTML file.

    Args:
        folder: of the project or the study.
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
