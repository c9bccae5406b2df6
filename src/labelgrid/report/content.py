"""Defines the content of a project's report as plain data, without files and networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from labelgrid.drawings.request_history import RequestHistory
from labelgrid.ledger.grid import Pick
from labelgrid.project.records import Measurement

#: The mean normalised uncertainty of the pool: by statistic, task and round.
PoolUncertainty = Mapping[str, Mapping[str, Mapping[int, float]]]

#: The pictures of a pick, in the order they are shown.
Picture = Literal["image", "prediction", "uncertainty", "label"]


@dataclass(frozen=True)
class Hint:
    """A sentence about a lack in a section, and the command that ends the lack ("": none)."""

    text: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskCells:
    """The cells of one task over some images: counts by state, and costs.

    Args:
        task: its name.
        kind: its kind.
        cost: the cost of one label.
        labelled, requested, skipped, missing: the number of cells in each state; missing without
            the derived ones.
        derived: the number of cells without a label whose label follows from others of the image.
        saved: what these labels would have cost.
        spent: the cost of all answers so far.
        promised: the cost of the open requests.
        timed: the number of labels whose import said how long they took.
        median: the median of their times, in seconds.
        mean: the mean of their times, in seconds.
        learned: the cost of one label that is learned from the times of all splits.
    """

    task: str
    kind: str
    cost: float
    labelled: int
    requested: int
    skipped: int
    missing: int
    spent: float
    promised: float
    timed: int = 0
    median: float | None = None
    mean: float | None = None
    learned: float | None = None
    derived: int = 0
    saved: float = 0.0


@dataclass(frozen=True)
class SplitCells:
    """The images of a split, and their cells by task.

    `dropped` is what was spent on tasks that were dropped since.
    """

    name: str
    images: int
    tasks: Sequence[TaskCells]
    dropped: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round of the campaign.

    Args:
        number: the number of the round.
        state: open or closed.
        strategy: its name.
        budget: the budget with its unit.
        picks: the number of picked cells of each task.
        cost: the cost of all picks.
        now: how many of the picks are labelled, skipped or still requested today.
        trained: the number of images and of labels its network was trained on; None before fit.
    """

    number: int
    state: str
    strategy: str = ""
    budget: str = ""
    picks: Mapping[str, int] = field(default_factory=dict)
    cost: float = 0.0
    now: Mapping[str, int] = field(default_factory=dict)
    trained: tuple[int, int] | None = None


@dataclass(frozen=True)
class ShownPick:
    """A pick with the pictures that exist, as bytes of JPEG files."""

    pick: Pick
    pictures: Mapping[Picture, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class PictureLegend:
    """The meaning of the colours of pictures.

    Args:
        swatches: colours as "#rrggbb", and what each stands for.
        scale: a picture of the colours, the bytes of a PNG file; None if the swatches say it all.
        ends: what is at the left and at the right of the scale.
    """

    swatches: Sequence[tuple[str, str]] = ()
    scale: bytes | None = None
    ends: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class PictureRow:
    """Pictures side by side: a line above them, and by name the bytes of JPEG files."""

    text: str
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class TaskPictures:
    """Pictures of a task, with a common legend and a note on the figures."""

    task: str
    rows: Sequence[PictureRow]
    legend: PictureLegend
    note: str = ""


@dataclass(frozen=True)
class RoundPicks:
    """A round's first picks, and the total number of its picks."""

    round: int
    total: int
    first: Sequence[ShownPick]


@dataclass(frozen=True)
class Training:
    """A round's training losses.

    `losses` holds the loss at each epoch, by name: a task, or a loss on the val split.
    """

    round: int
    losses: Mapping[str, Mapping[int, float]]

    @property
    def epochs(self) -> list[int]:
        """All epochs, sorted."""
        return sorted(set().union(*self.losses.values()))


@dataclass(frozen=True, kw_only=True)
class ProjectReport:
    """The content of a project's report.

    Args:
        name: the name of the project.
        made: when the report was made, as text.
        about: settings and versions, one per line.
        headlines: the metric of each task's curve, in display order.
        parts: the splits, the training images first.
        heldout: the held-out images, None if there are none.
        measured, rounds: the measured rounds, and all rounds, in order.
        picked: the newest picks.
        training: the newest training.
        next_step: the next command.
        hints: what each section (metrics, rounds, picks, training) lacks.
        requests: the requests for the training images, None before the first one.
        uncertainty: the uncertainty of the pool.
        unread_scores: why the uncertainty is not known although there are scores.
        predictions: held-out photographs beside their labels and predictions.
        overlays: labels over their photographs, where there are no predictions.
        changed: the settings of each round's training that differ from the round before.
        advice: the sentences of `advise`, what to buy first.
        suppliers: the rows of `supplier_rows`.
    """

    name: str
    made: str
    about: Mapping[str, str]
    headlines: Mapping[str, str]
    parts: Sequence[SplitCells]
    heldout: SplitCells | None
    measured: Sequence[Measurement]
    rounds: Sequence[Round]
    picked: RoundPicks | None
    training: Training | None
    next_step: str
    hints: Mapping[str, Hint]
    requests: RequestHistory | None = None
    uncertainty: PoolUncertainty = field(default_factory=dict)
    unread_scores: str = ""
    predictions: Sequence[TaskPictures] = ()
    overlays: Sequence[TaskPictures] = ()
    changed: Mapping[int, Sequence[str]] = field(default_factory=dict)
    advice: Sequence[str] = ()
    suppliers: Sequence[Sequence[Any]] = ()
