"""What a report says, as plain data: it knows no project, no file and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.report.asked import RequestHistory
from labelgrid.results import Result

#: The mean normalised uncertainty of the pool: by statistic, task and round.
Unsure = Mapping[str, Mapping[str, Mapping[int, float]]]

#: What is shown of a pick, in this order.
Picture = Literal["image", "prediction", "uncertainty", "truth"]


@dataclass(frozen=True)
class Hint:
    """What is missing from a section, and the command that brings it ("" where none does)."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Counted:
    """How far a task is over some images: cells by state, and costs.

    Args:
        price: of one label; spent: of all answers so far; promised: of the open requests.
    """

    task: str
    kind: str
    price: float
    labelled: int
    requested: int
    skipped: int
    missing: int
    spent: float
    promised: float


@dataclass(frozen=True)
class Part:
    """The images of one split and their cells."""

    name: str
    images: int
    tasks: Sequence[Counted]


@dataclass(frozen=True)
class Measured:
    """A round's network on the held-out labels.

    Args:
        labels: how many labels of each task it was trained on; spent: what they had cost.
        model: the hash of its weights.
        heldout_labels: how many labels of each task it was measured on.
        metrics: by task, then by metric name; NaN where there was nothing to measure on.
        loss_mtl: the weighted sum of the losses of the final predictions.
    """

    round: int
    model: str
    labels: Mapping[str, int]
    spent: float
    heldout_labels: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, Result]]
    loss_mtl: float


@dataclass(frozen=True)
class Round:
    """A round of the campaign.

    Args:
        budget: with its unit.
        picks: how many cells of each task were picked; cost: of all of them.
        now: how many of the picks are labelled, skipped or still requested by now.
        trained: how many images and labels its network learned from, those of val among them; None before that.
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
    """A pick with its pictures (JPEG files' bytes), as many as there are."""

    image: str
    task: str
    score: float | None
    cost: float
    why: str
    pictures: Mapping[Picture, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Picked:
    """A round's picks: the first ones, and how many there are in all."""

    round: int
    total: int
    first: Sequence[ShownPick]


@dataclass(frozen=True)
class Training:
    """How a round's training went: by name (a task, or a loss on the val split), the loss at each epoch."""

    round: int
    losses: Mapping[str, Mapping[int, float]]

    @property
    def epochs(self) -> list[int]:
        """All epochs, in order."""
        return sorted(set().union(*self.losses.values()))


@dataclass(frozen=True)
class Report:
    """All a report says.

    Args:
        made: when, as text.
        about: settings and versions, a line each.
        headlines: by task, in the order to show them, the metric that its curve shows.
        parts: the images to learn from first; heldout: those set apart for measuring, None where there are none.
        measured, rounds: by number.
        next_step: what to do now.
        hints: by section (figures, rounds, picks, training), what it lacks.
        asked: what was asked for of the images to learn from, None before anything was.
    """

    name: str
    made: str
    about: Mapping[str, str]
    headlines: Mapping[str, str]
    parts: Sequence[Part]
    heldout: Part | None
    measured: Sequence[Measured]
    rounds: Sequence[Round]
    picked: Picked | None
    training: Training | None
    next_step: str
    hints: Mapping[str, Hint]
    asked: RequestHistory | None = None
    unsure: Unsure = field(default_factory=dict)
