"""Defines the options of an import: the facts about an answer that a person adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import read_foreign_text

#: The class of a map of names that stands for "not labelled".
IGNORE = "ignore"
#: In place of a class for what no region covers: what earlier imports said ends.
NONE = "none"
#: Which of several answers counts, in the order of time.
Keep = Literal["first", "last"]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """A person's options for an answer.

    Args:
        task: the task of the labels; empty: the task given by names or requests.
        names: the name of a class in the answer -> the task's class, or "ignore": not labelled.
        kept_names: the same of earlier imports; `names` come before them.
        rest: the class of the pixels that no region covers; empty: that of `kept_rest`.
        kept_rest: the choice of earlier imports, by task and connector; without one, such pixels
            are not labelled.
        format: the connector that reads the answer.
        keep: the answer that counts where a tool has several for one image; None: they are refused.
        leave_out: go on without entries and files that are wrong; they are named.
    """

    task: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    kept_names: Mapping[str, str] = field(default_factory=dict)
    rest: str = ""
    kept_rest: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    format: str = ""
    keep: Keep | None = None
    leave_out: bool = False

    @property
    def meanings(self) -> dict[str, str]:
        """The meanings of names, by this import and earlier imports."""
        return {**self.kept_names, **self.names}

    def rest_of(self, task: str) -> str:
        """The class of the pixels of a task that no region covers; empty if none was said."""
        return self.rest or self.kept_rest.get(task, {}).get(self.format, "")


def read_names(text: str) -> dict[str, str]:
    """Read a map of names: `car=vehicle,person=ignore`, or the path of a file with a pair a line.

    Raises:
        UsageError: the file cannot be read, a pair has no `=` or no name, or a name comes twice.

    Example:
        >>> read_names("car=vehicle, person=ignore")
        {'car': 'vehicle', 'person': 'ignore'}
    """
    pairs = text.split(",")
    where = ""
    if "=" not in text or Path(text).is_file():
        where = text
        try:
            lines = read_foreign_text(Path(text)).splitlines()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"The map of names cannot be read: {error}.",
                where=Path(text),
                next_step=getattr(error, "advice", "")
                or "Write --map 'car=vehicle,person=ignore', or name a file with such a pair a "
                "line.",
            ) from error
        pairs = [line for line in lines if line.strip() and not line.startswith("#")]
    names: dict[str, str] = {}
    for pair in pairs:
        name, equals, target = (part.strip() for part in pair.rpartition("="))
        if not (equals and name and target):
            raise UsageError(
                f"--map needs NAME=CLASS. Found {pair.strip()!r}.",
                where=where,
                next_step="Write, for example, --map 'car=vehicle,person=ignore', or a pair a line "
                "in a file.",
            )
        if names.setdefault(name, target) != target:
            raise UsageError(f"--map gives '{name}' two classes: '{names[name]}' and '{target}'.")
    return names
