"""Represents the result of an import: counts, and numbers that a person can check."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from labelgrid.annotate.answers import Fault, fault_lines
from labelgrid.basics.shown import Shown, picture_of
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names

#: So many images whose label is still requested are named, of each task.
FEW = 3


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The counts of one task in an import.

    `repaired` are known labels whose file in the project had changed or disappeared; `predicted`
    are new labels identical to the model's prediction.
    """

    new: int = 0
    replaced: int = 0
    repaired: int = 0
    unchanged: int = 0
    skipped: int = 0
    predicted: int = 0

    def __str__(self) -> str:
        parts = []
        for count_field in fields(self):
            count = getattr(self, count_field.name)
            if count and count_field.name != "predicted":
                parts.append(f"{count} {count_field.name}")
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True)
class Numbers:
    """The content of the new and the replaced labels of a task, as text and as values."""

    text: str
    values: Values


@dataclass(frozen=True, kw_only=True)
class Found:
    """The findings of a dry run.

    Args:
        what: the kind of answer, such as "CVAT segmentation masks".
        images: the project's images with a label or a skip.
        labels: the labels.
        known: the names of regions that a task knows, such as classes; empty if the answer has no
            names.
        unknown: the names that no task knows.
    """

    what: str
    images: int = 0
    labels: int = 0
    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.what[:1].upper() + self.what[1:]]
        if self.images:
            parts.append(count_text(self.images, "image"))
        if self.known or self.unknown:
            names = count_text(len(self.known) + len(self.unknown), "label")
            parts.append(f"{names} by name: {len(self.known):,} known")
        elif self.labels:
            parts.append(count_text(self.labels, "label"))
        if self.unknown:
            parts.append(f"unknown: {join_names(self.unknown, 10)}")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True, repr=False)
class Imported(Shown):
    """The result of an import, by task; of a dry run, what an import would do.

    Two are equal if their counts are.

    Args:
        tasks: the counts.
        foreign: the number of labelled images that are not in the project.
        empty: the number of images without any region in a tool's file, which were left out.
        stray: files that cannot be labels and were left out.
        removed: files of removed images and dropped tasks, which were left out.
        closed: lines of skips whose requests were cancelled or withdrawn since, which were left
            out.
        notes: how the answer was read, where that is not obvious.
        numbers: what the new and replaced labels hold, of tasks that have such labels.
        remarks: what may be right in them, but is unusual.
        requested: the images whose label is still requested afterwards, by task.
        picture: the file that shows some of them; empty if there are none.
        undrawn: why there is no picture; empty if there is one, or nothing to draw.
        found: what a dry run found.
        refused: why the import would be refused, as a dry run says; empty if it would not.
        faults: all faults and doubts that a dry run found.
        left_out: what is wrong with the entries and files that were left out.
        left_out_list: the file that lists them all; empty if the text does.
    """

    tasks: Mapping[str, Tally]
    foreign: int = 0
    empty: int = 0
    stray: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, Numbers] = field(default_factory=dict, compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)
    requested: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    picture: str = field(default="", compare=False)
    undrawn: str = field(default="", compare=False)
    found: Found | None = None
    refused: str = ""
    faults: tuple[Fault, ...] = ()
    left_out: tuple[Fault, ...] = ()
    left_out_list: str = field(default="", compare=False)

    def __str__(self) -> str:
        lines = []
        if self.found:
            lines.append(f"{self.found}.")
        for task, tally in self.tasks.items():
            text = self.numbers[task].text if task in self.numbers else ""
            lines.append(f"{'; '.join(filter(None, (f'{task}: {tally}', text)))}.")
        lines += [*self.notes, *self._counts(), *self.remarks, *self._open_requests()]
        if self.picture:
            lines.append(f"{self.picture} shows some of the new labels.")
        if self.undrawn:
            lines.append(f"There is no picture of the new labels: {self.undrawn}")
        if self.refused:
            lines.append(f"The import would be refused. {self.refused}")
        return "\n".join(lines)

    def _open_requests(self) -> list[str]:
        answers = any(tally.new or tally.skipped for tally in self.tasks.values())
        if not (answers and self.requested):
            return []
        still = [f"{task} of {join_names(images, FEW)}" for task, images in self.requested.items()]
        return [f"Still requested: {'; '.join(still)}."]

    def _counts(self) -> list[str]:
        lines = []
        predicted = sum(tally.predicted for tally in self.tasks.values())
        if predicted:
            same = count_text(predicted, "new label is", "new labels are")
            lines.append(f"{same} identical to the model's prediction.")
        if self.foreign:
            other = count_text(self.foreign, "other labelled image is", "other labelled images are")
            lines.append(f"{other} not in the project.")
        if self.empty:
            untouched = count_text(self.empty, "image stays", "images stay")
            lines.append(f"{untouched} unlabelled: nobody drew anything there.")
        reasons = {
            "they are no labels": self.stray,
            "their image was removed or their task dropped": self.removed,
            "their request is not open any more": self.closed,
        }
        for why, names in reasons.items():
            if names:
                lines.append(f"Left out, since {why}: {join_names(names)}.")
        if self.left_out:
            listed = Path(self.left_out_list) if self.left_out_list else None
            lines.append("Left out, since it is wrong:")
            lines += [f"  {line}" for line in fault_lines(self.left_out, listed)]
        return lines

    def _parts(self) -> Iterator[str]:
        yield picture_of(self.picture, "some of the new labels")
