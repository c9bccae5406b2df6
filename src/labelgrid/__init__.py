"""labelgrid: chooses which cells (image, task) to label next, and learns from partial labels.

From Python, `labelgrid.Project` is a project, `labelgrid.simulate` runs a study and
`labelgrid.analyse` analyses it; their errors are `labelgrid.LabelgridError`. The other names are
types that the methods of a project return.

Example:
    >>> import labelgrid
    >>> labelgrid.Project.__module__
    'labelgrid.api.project'
"""

TYPE_CHECKING = False  # true for type checkers; typing's own would have to be imported
if TYPE_CHECKING:
    from labelgrid.advice.advise import Advised
    from labelgrid.advice.control import ControlComparison
    from labelgrid.advice.round_times import RoundTimes
    from labelgrid.api.cells import ProjectCell
    from labelgrid.api.contents import ChangedCells
    from labelgrid.api.project import Project
    from labelgrid.api.study import analyse, estimate, simulate
    from labelgrid.audit.audit import Audited, AuditedLabel
    from labelgrid.basics.errors import LabelgridError
    from labelgrid.basics.progress import Silent
    from labelgrid.basics.trusted_code import trust
    from labelgrid.basics.version import __version__
    from labelgrid.exporting.export_model import ExportedModel
    from labelgrid.formats.codec import LabelArray
    from labelgrid.imports.imported import Imported
    from labelgrid.ledger.grid import Pick
    from labelgrid.operations.export import Exported
    from labelgrid.operations.extend import Added
    from labelgrid.operations.grid_sheet import DrawnSheet
    from labelgrid.operations.remove import Removed, Restored
    from labelgrid.operations.task_change import Changed
    from labelgrid.operations.undo import Undone
    from labelgrid.operations.verify import Verified
    from labelgrid.project.records import Fit
    from labelgrid.report.write_report import WrittenReport
    from labelgrid.rounds.lookalikes import FoundDuplicates
    from labelgrid.rounds.query import QueryResult
    from labelgrid.score.table import Table
    from labelgrid.suppliers.relate import Related
    from labelgrid.suppliers.supply import Supplied

__all__ = [
    "Added",
    "Advised",
    "Audited",
    "AuditedLabel",
    "Changed",
    "ChangedCells",
    "ControlComparison",
    "DrawnSheet",
    "Exported",
    "ExportedModel",
    "Fit",
    "FoundDuplicates",
    "Imported",
    "LabelArray",
    "LabelgridError",
    "Pick",
    "Project",
    "ProjectCell",
    "QueryResult",
    "Related",
    "Removed",
    "Restored",
    "RoundTimes",
    "Silent",
    "Supplied",
    "Table",
    "Undone",
    "Verified",
    "WrittenReport",
    "__version__",
    "analyse",
    "estimate",
    "simulate",
    "trust",
]

#: The module of each public name. It is imported on first use, so that `import labelgrid` imports
#: nothing else.
_HOMES = {
    "Added": "labelgrid.operations.extend",
    "Advised": "labelgrid.advice.advise",
    "Audited": "labelgrid.audit.audit",
    "AuditedLabel": "labelgrid.audit.audit",
    "Changed": "labelgrid.operations.task_change",
    "ChangedCells": "labelgrid.api.contents",
    "ControlComparison": "labelgrid.advice.control",
    "DrawnSheet": "labelgrid.operations.grid_sheet",
    "Exported": "labelgrid.operations.export",
    "ExportedModel": "labelgrid.exporting.export_model",
    "Fit": "labelgrid.project.records",
    "FoundDuplicates": "labelgrid.rounds.lookalikes",
    "Imported": "labelgrid.imports.imported",
    "LabelArray": "labelgrid.formats.codec",
    "LabelgridError": "labelgrid.basics.errors",
    "Pick": "labelgrid.ledger.grid",
    "Project": "labelgrid.api.project",
    "ProjectCell": "labelgrid.api.cells",
    "QueryResult": "labelgrid.rounds.query",
    "Related": "labelgrid.suppliers.relate",
    "Removed": "labelgrid.operations.remove",
    "Restored": "labelgrid.operations.remove",
    "RoundTimes": "labelgrid.advice.round_times",
    "Silent": "labelgrid.basics.progress",
    "Supplied": "labelgrid.suppliers.supply",
    "Table": "labelgrid.score.table",
    "Undone": "labelgrid.operations.undo",
    "Verified": "labelgrid.operations.verify",
    "WrittenReport": "labelgrid.report.write_report",
    "__version__": "labelgrid.basics.version",
    "analyse": "labelgrid.api.study",
    "estimate": "labelgrid.api.study",
    "simulate": "labelgrid.api.study",
    "trust": "labelgrid.basics.trusted_code",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'labelgrid' has no attribute '{name}'")
    from importlib import import_module

    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError:
        from labelgrid.api.door import needed_packages

        with needed_packages():
            raise


def __dir__() -> list[str]:
    return __all__
