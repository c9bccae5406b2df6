"""Defines the errors a user can see.

Each says what, where, the next step, and what was left unchanged.
"""

import errno
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class LabelgridError(Exception):
    """An error in the user's input.

    The command line prints it without a traceback and exits with `exit_code`.

    Args:
        what: the finding and the expectation, in one sentence.
        where: the file, cell or key.
        next_step: the next step, in one sentence.
        unchanged: what was left unchanged, one sentence.

    Example:
        >>> where = "labels/depth/a.png"
        >>> print(LabelError("Depth is 8-bit.", where=where, next_step="Declare a scale."))
        Depth is 8-bit (labels/depth/a.png).
          Declare a scale.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: object = "", next_step: str = "", unchanged: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.next_step = next_step
        self.unchanged = unchanged

    def __str__(self) -> str:
        head = self.what
        if self.where:
            head = f"{self.what.rstrip('.')} ({self.where})."
        tail = " ".join(filter(None, (self.next_step, self.unchanged)))
        if not tail:
            return head
        return f"{head}\n  {tail}"


def command(*words: object) -> str:
    """A command of labelgrid for a shell, quoted where paths and names need it.

    Example:
        >>> command("remove", "my flat", "--restore", "kitchen/0004.jpg")
        "labelgrid remove 'my flat' --restore kitchen/0004.jpg"
    """
    texts = ["labelgrid"]
    for word in words:
        text = str(word)
        if isinstance(word, Path) and text.startswith("-"):
            text = f"./{text}"
        texts.append(text)
    return shlex.join(texts)


@contextmanager
def note_unchanged(unchanged: str) -> Iterator[None]:
    """Say in errors raised inside what is left unchanged; also a decorator.

    Example:
        >>> with note_unchanged("Nothing was made."):
        ...     raise ImageError("The folder holds no images.", where="photos")
        Traceback (most recent call last):
        labelgrid.basics.errors.ImageError: The folder holds no images (photos).
          Nothing was made.
    """
    try:
        yield
    except LabelgridError as error:
        error.unchanged = error.unchanged or unchanged
        raise


#: What libraries say, in whatever type of error, where the system gives no memory or no thread.
_NO_MEMORY = (
    "insufficient memory",
    "out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "failed to map segment",
    "memory allocation",
)
_NO_THREAD = ("can't start new thread", "can't allocate lock", "resource temporarily unavailable")


def shortage(error: BaseException) -> tuple[str, str] | None:
    """The resource that the system lacks, and the next step; None for an error of another cause.

    Example:
        >>> shortage(MemoryError())[0]
        'There is not enough memory.'
    """
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        step = "Close other programs or raise the limit (`ulimit -v`), and run it again."
        return "There is not enough memory.", step
    if any(words in text for words in _NO_THREAD):
        step = "Close other programs or raise the limits (`ulimit -u -v`), and run it again."
        return "There are not enough threads, or not enough memory for one.", step
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        step = "Close other programs or raise the limit (`ulimit -n`), and run it again."
        return "There are not enough file descriptors: too many files are open.", step
    return None


class UsageError(LabelgridError):
    """The command's arguments are wrong (exit code 2)."""

    exit_code = 2


class PluginError(LabelgridError):
    """A plug-in's name is unknown, or its options are wrong."""


class RecipeError(LabelgridError):
    """A recipe or settings file is invalid."""


class ProjectError(LabelgridError):
    """The project's folder, database or round is in a state that does not allow the command."""


class NothingToBuyError(ProjectError):
    """A query can buy nothing.

    The budget does not pay for a pick, or no task that the strategy buys lacks a label.
    """


class ImageError(LabelgridError):
    """An image file cannot be used."""


class LabelError(LabelgridError):
    """A label file cannot be used.

    Args:
        what: as in `LabelgridError`.
        where: as in `LabelgridError`.
        next_step: as in `LabelgridError`; names options as a file of tasks does.
        unchanged: as in `LabelgridError`.
        declare: the task's options that `next_step` names, with values, for those who say how a
            task is changed.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = "",
        next_step: str = "",
        unchanged: str = "",
        declare: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(what, where=where, next_step=next_step, unchanged=unchanged)
        self.declare = dict(declare or {})


class EmptyLabelError(LabelError):
    """A label file is sound, but none of its pixels is valid."""


class LabelSizeError(LabelError):
    """A label has another size than its image."""


class MemoryShortageError(LabelgridError):
    """A file may be sound, but the system does not give the memory to read it."""


class LedgerError(LabelgridError):
    """The ledger refuses a change, or its database cannot be used."""


class StateError(LedgerError):
    """A cell is in another state than the change needs."""


class DatabaseError(LedgerError):
    """The ledger's database cannot be used: it is damaged, locked, or none of labelgrid."""


class LostConnectionError(DatabaseError):
    """The connection to the ledger's server is lost, or cannot be made."""


class ModelError(LabelgridError):
    """A network, its weights or a checkpoint cannot be used."""


class TrainingError(LabelgridError):
    """Training stopped: there are no labels, or the loss is not finite."""


class StorageError(LabelgridError):
    """A store of objects, such as a bucket, refuses or does not answer."""


class ServerError(LabelgridError):
    """A labelling tool's server cannot be reached, refuses, or did not do what was requested.

    Args:
        what: as in `LabelgridError`.
        where: the server's URL.
        next_step: as in `LabelgridError`.
        unchanged: as in `LabelgridError`.
        status: the status of its answer, such as 404; 0: there was none.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = "",
        next_step: str = "",
        unchanged: str = "",
        status: int = 0,
    ) -> None:
        super().__init__(what, where=where, next_step=next_step, unchanged=unchanged)
        self.status = status


def escape_control_characters(text: str) -> str:
    r"""The text with control characters and undecodable bytes as their codes.

    A file name may hold both.

    Example:
        >>> print(escape_control_characters("a\x1b[31m.jpg"))
        a\x1b[31m.jpg
    """
    return "".join(c if c in "\n\t" or c.isprintable() else repr(c)[1:-1] for c in text)
