"""Defines the interface of strategies, which pick cells within a budget.

Higher score = label first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from labelgrid.basics.array_types import Array, Floats
from labelgrid.basics.errors import PluginError
from labelgrid.basics.type_names import Values
from labelgrid.ledger.grid import Grid, Pick, Unit

#: Named arrays with the grid's rows: float64 [n, t] for cells, float64 [n] for images or float32
#: [n, d] for features, as each statistic declares; NaN where unknown.
Statistics = Mapping[str, Array]
#: Float64 [n, t]; higher = label first.
Scores = Floats
#: What a strategy picks: single cells, or all missing cells of an image.
PickUnit = Literal["cells", "images"]
#: The options of other plug-ins that a strategy relies on, by folder and name.
Expects = Mapping[str, Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True)
class Budget:
    """The limit of a query, in labels, images (all missing cells of an image) or cost."""

    amount: float
    unit: Unit = "labels"


#: By task, the share of the label of each other task of the same image that its label brings along.
Brings = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainedRound:
    """A finished training in the campaign's history.

    It holds no metric on held-out or test labels.

    Args:
        round: the number of the round.
        labels: the number of labels by task that were trained on.
        cost: the cost of all labels in the splits train and val at that time.
        val: metrics on the val images by `task/metric`, losses by `task/loss`, and `loss_mtl`;
            empty if there are none.
        derived: the worth of derived labels that nobody bought, in bought labels, by task.
    """

    round: int
    labels: Mapping[str, int]
    cost: float
    val: Mapping[str, float]
    derived: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PoolView:
    """The pool from which a strategy picks.

    Args:
        grid: the states of all cells of the train split.
        statistics: the statistics that the strategy needs, with the grid's rows.
        seed: the seed of this round's draws.
        calibration: the `Selection.calibration` of earlier rounds.
        read_history: a function that returns the history; see `history`.
        brings: what a label brings along: for each task, the share of the label of another task of
            the same image that follows from its label, from 0 to 1. Empty: nothing. With
            `{"depth": {"normals": 0.9}}`, a label of depth gives nine tenths of one of normals.
        example: the pooled features [d] of an image that a user gave as an example; None: none.
        given: the share of each cell's label that trusted suppliers give [n, t], from 0 to 1; None:
            nothing. A training reads these of images with a bought label, or of all.
        given_everywhere: whether it reads these of all.

    Raises:
        ValueError: `brings` names an unknown task, lets a task bring itself, or has a share outside
            0 to 1.
    """

    grid: Grid
    statistics: Statistics = field(default_factory=dict)
    seed: int = 0
    calibration: Values = field(default_factory=dict)
    read_history: Callable[[], Sequence[TrainedRound]] = tuple
    brings: Brings = field(default_factory=dict)
    example: Array | None = None
    given: Floats | None = None
    given_everywhere: bool = False

    def __post_init__(self) -> None:
        for task, fractions in self.brings.items():
            for name in (task, *fractions):
                if name not in self.grid.tasks:
                    raise ValueError(f"brings names '{name}', which is not a task")
            if task in fractions:
                raise ValueError(f"brings lets '{task}' bring itself")
            for name, fraction in fractions.items():
                if not 0 <= fraction <= 1:
                    raise ValueError(
                        f"the share of '{name}' that '{task}' brings is {fraction}, not from 0 to 1"
                    )

    @cached_property
    def history(self) -> Sequence[TrainedRound]:
        """The campaign's finished trainings, the newest last; read on first use."""
        return self.read_history()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The result of a strategy.

    Args:
        picks: missing cells worth at most the budget, best first.
        terms: named terms of the scores, [n, t] for cells or [n] for images; stored with the picks.
            Terms that are not floats, such as numbers and sizes of groups, are stored without
            quantiles.
        calibration: JSON values that are fixed once and kept in the ledger: the pool's calibration,
            and what was added in this round.
        scores: what the picks are ordered by, prices aside, [n, t] for cells or [n] for images;
            None if no scores order them.
        without: the scores without one part each, such as a term or a task, by the name of the
            part; all [n, t] or all [n]; NaN where nothing is left. The picks' ranks by these scores
            are stored with them. Empty if there is one term only.
        notes: what is said to the user of the picks, a sentence or two each.
    """

    picks: Sequence[Pick]
    terms: Mapping[str, Array] = field(default_factory=dict)
    calibration: Values = field(default_factory=dict)
    scores: Array | None = None
    without: Mapping[str, Array] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Strategy(Protocol):
    """Picks cells. Most strategies are composed of `labelgrid.select.parts`.

    Laws (labelgrid.testing.strategies): picks are missing cells worth at most the budget;
    they do not depend on the order of the pool; a budget of the whole pool buys the whole pool; a
    task without any label is picked beside the others.

    A strategy with an attribute `cold = True` also picks before the first training, by statistics
    of the network with its initial weights: the pretrained encoder's features. Other strategies are
    replaced by random images then.

    A strategy whose scores are only the order of random draws has an attribute `valued = False`:
    its picks have no score then, so that nobody takes a draw for a value.

    A strategy with an attribute `skips_following = True` is not offered cells whose labels follow
    mostly from others (`labelgrid.select.following.MOSTLY`): it spreads a budget over tasks by no
    score of their cells, and would pay twice. Strategies of publications have none.

    A strategy that relies on options of its statistics, or of the terms behind them, declares the
    options in an attribute `expects`, by folder and name: `{"statistics": {"dropout": {"measure":
    "entropy"}}}`. A recipe with other options is refused. Options of statistics are used where the
    recipe names none.

    A strategy whose options name tasks lists them in an attribute `tasks`; a study without such a
    task is refused at once. If it picks from some tasks only, the last two laws hold for their
    cells.
    """

    @property
    def needs(self) -> frozenset[str]:
        """The statistics to read: plug-ins of `labelgrid.score`, or "module:function"."""

    @property
    def unit(self) -> PickUnit:
        """The unit of its picks: single cells, or all missing cells of an image."""

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """Pick cells within the budget."""


def skips_following(strategy: Strategy) -> bool:
    """Whether cells with mostly following labels are kept from a strategy."""
    return bool(getattr(strategy, "skips_following", False))


def check_task_names(strategy: str, names: Iterable[str], tasks: Sequence[str]) -> None:
    """Refuse options of a strategy that name an unknown task.

    Raises:
        PluginError: a task does not exist.

    Example:
        >>> check_task_names("equal", ["depth"], ["semseg", "depth"])
    """
    unknown = [name for name in names if name not in tasks]
    if unknown:
        raise PluginError(
            f"The strategy '{strategy}' picks by the task '{unknown[0]}', which does not exist.",
            next_step=f"In its options, name one of {', '.join(tasks)}.",
            unchanged="Nothing was requested.",
        )
