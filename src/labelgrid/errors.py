"""Which kinds of error a user can meet: each says what, where, the next step and what was left unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager


class LabelgridError(Exception):
    """Refused input. The command line prints it without a traceback and exits with `exit_code`.

    Args:
        what: what was found and what was expected, one sentence.
        where: the file, cell or key it was found at.
        next_step: what to do about it, one sentence.
        unchanged: what was left as it was, one sentence.

    Example:
        >>> print(LabelError("Depth is 8-bit.", where="labels/depth/a.png", next_step="Declare a scale."))
        Depth is 8-bit (labels/depth/a.png).
          Declare a scale.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", next_step: str = "", unchanged: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.next_step, self.unchanged = what, where, next_step, unchanged

    def __str__(self) -> str:
        head = f"{self.what.rstrip('.')} ({self.where})." if self.where else self.what
        tail = " ".join(part for part in (self.next_step, self.unchanged) if part)
        return f"{head}\n  {tail}" if tail else head


@contextmanager
def with_unchanged(unchanged: str) -> Iterator[None]:
    """Let the refusals inside that do not know what was left unchanged say this; also a decorator.

    Example:
        >>> with with_unchanged("Nothing was made."):
        ...     raise ImageError("The folder holds no images.", where="photos")
        Traceback (most recent call last):
        labelgrid.errors.ImageError: The folder holds no images (photos).
          Nothing was made.
    """
    try:
        yield
    except LabelgridError as error:
        error.unchanged = error.unchanged or unchanged
        raise


class UsageError(LabelgridError):
    """The command's words are off (exit code 2)."""

    exit_code = 2


class PluginError(LabelgridError):
    """A plug-in's name or options are unknown."""


class RecipeError(LabelgridError):
    """A recipe or settings file says something that cannot be."""


class ProjectError(LabelgridError):
    """The project folder, its database or its round is not in a state that allows the command."""


class ImageError(LabelgridError):
    """An image file cannot be used."""


class LabelError(LabelgridError):
    """A label file cannot be used."""


class LedgerError(LabelgridError):
    """A move of a cell, or a database, that the ledger does not allow."""


class ModelError(LabelgridError):
    """A network, its weights or a checkpoint cannot be used."""


class TrainingError(LabelgridError):
    """Training stopped: no labels, or a loss that is not a number."""
