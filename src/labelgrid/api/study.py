"""Provides studies as Python functions, on which the commands of the same names stand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from labelgrid.api.door import asks, check_arguments, needed_packages
from labelgrid.api.places import Place, optional_path
from labelgrid.api.requests import AnalyseRequest, SimulateRequest
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Silent
from labelgrid.basics.type_names import Json

if TYPE_CHECKING:
    from labelgrid.basics.progress import Progress
    from labelgrid.lab.simulation.analyse import AnalysisResult
    from labelgrid.lab.simulation.run_study import StudyResult
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
def _opened_study(request: SimulateRequest, progress: "Progress") -> "Iterator[StudyRequest]":
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
    with own_study(root, folder, options=changes, progress=progress, may_make=may_make) as own:
        weights = file or own.weights
        yield StudyRequest.of(str(own.recipe), own.root, folder, weights=weights, **options)


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
