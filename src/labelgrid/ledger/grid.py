"""Defines the grid: states of cells, legal moves, and the arrays that strategies see."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from labelgrid.basics.shown import Shown
from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Json, Values

if TYPE_CHECKING:  # slow to load
    import numpy as np
    from numpy.typing import NDArray

    from labelgrid.basics.array_types import Bools, Floats, Keys

Split = Literal["train", "val", "test", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "val", "test", "heldout")
#: Some splits; None: all.
Splits = Sequence[Split] | None
#: The splits that images can be put into; held-out images are drawn, or chosen, by other commands.
OpenSplit = Literal["train", "val", "test"]
#: Before the name of an unknown split: a command of before put images into it, and none reads it.
NO_SPLIT = "none: "
Unit = Literal["labels", "images", "cost"]
#: What was on screen while a label was drawn: no prediction, the model's, or a supplier's label.
Hint = Literal["nothing", "model", "supplier"]
HINTS: tuple[Hint, ...] = get_args(Hint)
#: The longest time of a label that is believed, in seconds: a day.
MOST_SECONDS = 86_400.0
#: The longest name of an annotator.
MOST_CHARACTERS = 200
#: The fields of a pick and of a request that explain it.
EXPLAINING = ("terms", "explanation")


def is_time(seconds: float) -> bool:
    """Whether a label can have taken so long.

    Example:
        >>> [is_time(seconds) for seconds in (0, 0.5, 86_400, 86_401, float("nan"))]
        [False, True, True, False, False]
    """
    return 0 < seconds <= MOST_SECONDS


def is_annotator(name: object) -> bool:
    r"""Whether a value can name the maker of a label: a line of at most 200 characters.

    Example:
        >>> [is_annotator(name) for name in ("Ada", "sam2-large", "", "two\tparts", 7)]
        [True, True, True, False, False]
    """
    return isinstance(name, str) and len(name) <= MOST_CHARACTERS and name.isprintable()


class State(IntEnum):
    """The state of a cell."""

    MISSING = 0
    REQUESTED = 1
    LABELLED = 2
    SKIPPED = 3


#: The name of a state.
StateName = Literal["missing", "requested", "labelled", "skipped"]
#: The states by their names, as files and commands write them.
STATE_NAMES = {state.name.lower(): state for state in State}

#: The moves that the ledger allows; all others are refused.
LEGAL: frozenset[tuple[State, State]] = frozenset(
    {
        (State.MISSING, State.REQUESTED),
        (State.MISSING, State.LABELLED),
        (State.REQUESTED, State.LABELLED),
        (State.REQUESTED, State.SKIPPED),
        (State.REQUESTED, State.MISSING),
        (State.SKIPPED, State.MISSING),
        (State.LABELLED, State.MISSING),
    }
)


@dataclass(frozen=True, order=True)
class Cell:
    """An (image, task): the unit of picks, requests, payments and training."""

    image_id: str
    task: str


@dataclass(frozen=True, order=True)
class Part(Cell):
    """A region of a cell, which is bought alone.

    Args:
        image_id: the image.
        task: the task.
        region: its number in the partition of the image, from 1.
        answer: 0; answers of other people have other numbers.
    """

    region: int
    answer: int = 0

    @property
    def cell(self) -> Cell:
        """The whole cell."""
        return Cell(self.image_id, self.task)


@dataclass(frozen=True)
class TaskRow:
    """A task in the ledger: plain data; `options` are those of its kind's label format."""

    name: str
    kind: str
    cost: float
    options: Values = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """An image in the ledger; its id is the path below `root`, with forward slashes.

    The root is a folder or, of images in a store of objects, an address.
    """

    image_id: str
    root: str
    digest: str = ""
    height: int = 0
    width: int = 0
    split: Split = "train"
    group: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the image lies in a store of objects."""
        return "://" in self.root


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a cell was picked, beside its score and terms; unknown fields are empty.

    Args:
        quantiles: for each term, the share of the candidates whose value is smaller, equal ones
            counted half. The candidates are the missing cells of the same task, or the images with
            a missing cell if the term is of images.
        rank: the rank by the score, among all missing cells, or among images if these were picked;
            1 is the best.
        without: the rank by the score without one part, by the name of that part.
        nearest: the image with the nearest pooled features, among images with a label of the same
            task.
        distance: the Euclidean distance of its features.
    """

    quantiles: Mapping[str, float] = field(default_factory=dict)
    rank: int = 0
    without: Mapping[str, int] = field(default_factory=dict)
    nearest: str = ""
    distance: float | None = None

    def as_json(self) -> Json:
        """What is known, as JSON values.

        Example:
            >>> Explanation(rank=3, without={"diversity": 8}).as_json()
            {'rank': 3, 'without': {'diversity': 8}}
        """
        nothing = vars(Explanation())
        return {name: value for name, value in vars(self).items() if value != nothing[name]}


@dataclass(frozen=True, kw_only=True, repr=False)
class Pick(Shown):
    """A cell to be labelled, with everything known about the choice.

    A strategy gives the first four fields; the query that requests the cell adds the rest.

    Args:
        cell: the cell.
        score: the score of the strategy; None if no strategy picked the cell, or by random draws
            only.
        weight: the weight of its label in training.
        why: the reason, in words.
        cost: the cost of its label.
        request_id: the id of the pick's request.
        terms: what the score was made of, by name; empty if nothing is known of it.
        explanation: how the pick compares with the other candidates.
        drawn: whether the strategy knew nothing of the cell, and drew its score at random. The
            query then leaves the score out.
    """

    cell: Cell
    score: float | None
    weight: float = 1.0
    why: str = ""
    cost: float = 0.0
    request_id: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation = field(default_factory=Explanation)
    drawn: bool = False

    def __str__(self) -> str:
        score = "" if self.score is None else f", score {self.score:.4g}"
        why = f": {self.why}" if self.why else ""
        return f"{self.cell.image_id}:{self.cell.task}{score}, cost {self.cost:g}{why}"


def explained_row(values: Values) -> Json:
    """The fields of a pick or of a request as JSON values.

    Those that explain it only where something is known.

    Example:
        >>> explained_row({"image": "i", "terms": {}, "explanation": Explanation(rank=3)})
        {'image': 'i', 'explanation': {'rank': 3}}
    """
    row = {**values, "explanation": values["explanation"].as_json()}
    return {name: value for name, value in row.items() if name not in EXPLAINING or value}


@dataclass(frozen=True, kw_only=True)
class Move:
    """The change of a cell or a part to another state, with the values of its event.

    `seconds` is the time spent on the label, `annotator` its maker, `classes` the class list of
    that time, `hint` what was shown meanwhile; None: not known. Parts alone have the digest of a
    `partition`, and a `value` in place of a file: the class of the whole region.
    """

    cell: Cell
    to: State
    round: int = 0
    request_id: str = ""
    path: str = ""
    digest: str = ""
    cost: float = 0.0
    score: float | None = None
    weight: float = 1.0
    why: str = ""
    seconds: float | None = None
    annotator: str = ""
    classes: tuple[str, ...] = ()
    hint: Hint | None = None
    partition: str = ""
    value: int | None = None


def request_id(round: int, cell: Cell) -> str:
    """The id of a request: the same for the same round and cell.

    Example:
        >>> request_id(3, Cell("a.jpg", "depth")) == request_id(3, Cell("a.jpg", "depth"))
        True
    """
    return f"r{round}-{seed_of(0, cell.image_id, cell.task):016x}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The states of n images × t tasks, with the keys and costs that strategies need.

    Args:
        images: n image ids; a strategy reads only those it picks.
        keys: uint64 [n], `streams.image_key` of each id; random draws and ties depend on these.
        tasks: t task names.
        state: int8 [n, t], values of `State`.
        cost: float64 [t], the cost of one label of each task.
        left_out: bool [n, t], cells that must not be picked though they are missing; None: none.
        asked: the tasks whose cells may be picked; None: all.

    Example:
        >>> import numpy as np
        >>> grid = Grid(
        ...     images=["a"],
        ...     keys=np.array([1], np.uint64),
        ...     tasks=["depth"],
        ...     state=np.zeros((1, 1), np.int8),
        ...     cost=np.ones(1),
        ... )
        >>> grid.eligible
        array([[ True]])
    """

    images: Sequence[str]
    keys: "Keys"
    tasks: Sequence[str]
    state: "NDArray[np.int8]"
    cost: "Floats"
    left_out: "Bools | None" = None
    asked: Collection[str] | None = None

    @property
    def columns(self) -> dict[str, int]:
        """The column of each task, by name."""
        return {task: column for column, task in enumerate(self.tasks)}

    @property
    def eligible(self) -> "Bools":
        """Bool [n, t]: the cells that may be picked."""
        import numpy as np

        missing = self.state == State.MISSING
        if self.left_out is not None:
            missing = missing & ~self.left_out
        if self.asked is not None:
            missing = missing & np.array([task in self.asked for task in self.tasks], np.bool_)
        return missing

    @property
    def image_labels(self) -> int:
        """The number of labels that an image counts in a budget of images."""
        return len(self.tasks) if self.asked is None else len(self.asked)

    @property
    def bought(self) -> "Bools":
        """Bool [n, t]: the cells with a label, or a request for one."""
        import numpy as np

        return np.asarray((self.state == State.LABELLED) | (self.state == State.REQUESTED))

    def without(self, image_ids: Collection[str]) -> "Grid":
        """The grid without the rows of these images."""
        import numpy as np

        if not image_ids:
            return self
        removed = set(image_ids)
        numbers = []
        for row, image_id in enumerate(self.images):
            if image_id not in removed:
                numbers.append(row)
        images = [self.images[row] for row in numbers]
        rows = np.array(numbers, np.int64)
        return Grid(
            images=images,
            keys=self.keys[rows],
            tasks=self.tasks,
            state=self.state[rows],
            cost=self.cost,
            left_out=None if self.left_out is None else self.left_out[rows],
            asked=self.asked,
        )

    def cell(self, row: int, column: int) -> Cell:
        """The cell at a row and column of the arrays."""
        return Cell(str(self.images[row]), self.tasks[column])

    def cell_picks(
        self, chosen: Iterable[tuple[int, float, str]], drawn: Collection[int] = ()
    ) -> list[Pick]:
        """Picks of cells, given the indices in the flattened grid, scores and reasons.

        `drawn` has the indices whose scores were drawn at random.
        """
        picks = []
        for index, score, why in chosen:
            cell = self.cell(*divmod(index, len(self.tasks)))
            picks.append(Pick(cell=cell, score=float(score), why=why, drawn=index in drawn))
        return picks

    def image_picks(
        self, chosen: Iterable[tuple[int, float, str]], drawn: Collection[int] = ()
    ) -> list[Pick]:
        """Picks of all missing cells of images, given their rows, scores and reasons.

        `drawn` has the rows whose scores were drawn at random.
        """
        import numpy as np

        eligible = self.eligible
        picks = []
        for row, score, why in chosen:
            cells = [self.cell(row, int(column)) for column in np.flatnonzero(eligible[row])]
            pick = partial(Pick, score=float(score), why=why, drawn=row in drawn)
            picks += [pick(cell=cell) for cell in cells]
        return picks
