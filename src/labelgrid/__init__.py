"""labelgrid: chooses which cells (image, task) to label next, and learns from partial labels.

From Python, `labelgrid.Project` is a project, `labelgrid.simulate` runs a study and
`labelgrid.analyse` analyses it; their errors are `labelgrid.LabelgridError`.

Example:
    >>> import labelgrid
    >>> labelgrid.Project.__module__
    'labelgrid.api.project'
"""

TYPE_CHECKING = False  # true for type checkers; typing's own would have to be imported
if TYPE_CHECKING:
    from labelgrid.api.project import Project
    from labelgrid.api.study import analyse, estimate, simulate
    from labelgrid.basics.errors import LabelgridError
    from labelgrid.basics.progress import Silent
    from labelgrid.basics.trusted_code import trust
    from labelgrid.basics.version import __version__

__all__ = [
    "LabelgridError",
    "Project",
    "Silent",
    "__version__",
    "analyse",
    "estimate",
    "simulate",
    "trust",
]

#: The module of each public name. It is imported on first use, so that `import labelgrid` imports
#: nothing else.
_HOMES = {
    "LabelgridError": "labelgrid.basics.errors",
    "Project": "labelgrid.api.project",
    "Silent": "labelgrid.basics.progress",
    "analyse": "labelgrid.api.study",
    "estimate": "labelgrid.api.study",
    "simulate": "labelgrid.api.study",
    "trust": "labelgrid.basics.trusted_code",
    "__version__": "labelgrid.basics.version",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'labelgrid' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
