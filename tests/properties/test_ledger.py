"""A ledger driven at random, against a dict that keeps the same book."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import LEGAL, Cell, ImageRow, Move, Part, State, TaskRow
from labelgrid.ledger.part_moves import PartitionRow
from labelgrid.ledger.store import CellRow, Store
from tests import postgres

TASKS = {"depth": 2.0, "normals": 0.5}
NAMES = st.sampled_from(["b.png", "a/b.png", "a.png", "ä.png"])
SPLITS = st.sampled_from(["train", "heldout"])


@st.composite
def moves(draw: st.DrawFn, image: st.SearchStrategy[str]) -> Move:
    """A move of an image's cell to any state; what it says may fit the cell or not."""
    return draw(
        st.builds(
            Move,
            cell=st.builds(Cell, image, st.sampled_from(sorted(TASKS))),
            to=st.sampled_from(State),
            round=st.integers(0, 3),
            request_id=st.sampled_from(["", "r1", "r2"]),
            path=st.sampled_from(["", "x.png"]),
            cost=st.sampled_from([0.0, 0.5, 2.0]),
            weight=st.sampled_from([1.0, 0.25]),
            score=st.none() | st.floats(-5, 5),
            seconds=st.none() | st.floats(0.5, 9),
            annotator=st.sampled_from(["", "Ada"]),
            classes=st.sampled_from([(), ("near", "far"), ("far", "near")]),
        )
    )


class Ledger(RuleBasedStateMachine):
    """The store, and a dict of what every cell's row must be."""

    images = Bundle("images")
    template: (
        Path  # an empty ledger with tasks, made once: the migrations would take most of the time
    )

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = self.empty_store()
        self.split: dict[str, str] = {}
        self.rows: dict[Cell, CellRow] = {}
        self.events: list[tuple[State, Move]] = []
        self.done: list[tuple[dict[Cell, CellRow], list[tuple[State, Move]]]] = []

    def empty_store(self) -> Store:
        """A ledger with the tasks, and without images."""
        shutil.copy(self.template / "ledger.db", self.folder)
        return Store.open(self.folder / "ledger.db")

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize(target=images, names=st.lists(NAMES, min_size=2, unique=True))
    def some_images(self, names: list[str]) -> object:
        return multiple(*(self.add(name, "train") for name in names))

    @rule(target=images, name=NAMES, split=SPLITS)
    def add(self, name: str, split: str) -> str:
        new = self.store.add_images([ImageRow(image_id=name, root="photos", split=split)])  # type: ignore[arg-type]
        assert new == (name not in self.split)
        self.split.setdefault(name, split)
        return name

    @rule(name=images, split=SPLITS)
    def put_in_split(self, name: str, split: str) -> None:
        before = self.store.pool_hash()
        self.store.update_images([replace(self.store.image(name), split=split)])  # type: ignore[arg-type]
        assert (self.store.pool_hash() != before) == (self.split[name] != split)
        self.split[name] = split

    @rule(steps=st.lists(moves(images), max_size=3))
    def move_anyhow(self, steps: list[Move]) -> None:
        self.move(steps)

    @rule(
        steps=st.lists(moves(images), min_size=2, max_size=8), way=st.randoms(use_true_random=False)
    )
    def move_legally(self, steps: list[Move], way: Random) -> None:
        rows = dict(self.rows)
        for place, move in enumerate(steps):
            old = rows.get(move.cell, CellRow(cell=move.cell))
            to = way.choice(sorted(after for before, after in LEGAL if before == old.state))
            asked = old.request_id if old.state == State.REQUESTED else move.request_id
            move = steps[place] = replace(move, to=to, request_id=asked)
            self.expect(rows, [], move)
        self.move(steps)

    def move(self, steps: list[Move]) -> None:
        rows, events = dict(self.rows), list(self.events)
        try:
            for step in steps:
                self.expect(rows, events, step)
        except ValueError:
            with pytest.raises(LedgerError):
                self.store.move(steps)
            return
        before = self.store.pool_hash()
        self.store.move(steps)
        assert (self.store.pool_hash() != before) == bool(steps)
        if steps:
            self.done.append((self.rows, self.events))
        self.rows, self.events = rows, events

    @rule()
    def undo(self) -> None:
        last = self.store.last_operation()
        assert (last is None) == (not self.done)
        if last:
            self.store.undo(last.operation)
            self.rows, self.events = self.done.pop()

    @staticmethod
    def expect(rows: dict[Cell, CellRow], events: list[tuple[State, Move]], step: Move) -> None:
        old = rows.pop(step.cell, CellRow(cell=step.cell))
        if (old.state, step.to) not in LEGAL:
            raise ValueError("illegal")
        if old.state == State.REQUESTED:
            if step.request_id not in ("", old.request_id):
                raise ValueError("another request")
            step = replace(step, round=old.round, request_id=old.request_id, weight=old.weight)
        events.append((old.state, step))
        if step.to != State.MISSING:
            rows[step.cell] = CellRow(
                cell=step.cell,
                state=step.to,
                round=step.round,
                request_id=step.request_id,
                path=step.path,
                digest=step.digest,
                cost=step.cost,
                weight=step.weight,
                seconds=step.seconds,
                annotator=step.annotator,
                classes=step.classes,
            )

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.store.place)

    @invariant()
    def the_cells_are_the_dict(self) -> None:
        assert list(self.store.cells()) == [self.rows[cell] for cell in sorted(self.rows)]

    @invariant()
    def the_grid_is_the_dict(self) -> None:
        grid = self.store.grid()
        assert grid.images == sorted(name for name, split in self.split.items() if split == "train")
        for row, name in enumerate(grid.images):
            for column, task in enumerate(grid.tasks):
                cell = Cell(name, task)
                assert grid.state[row, column] == self.rows.get(cell, CellRow(cell=cell)).state

    @invariant()
    def the_counts_are_those_of_the_dict(self) -> None:
        for splits in (None, ("heldout",)):
            inside = {
                name for name, split in self.split.items() if splits is None or split in splits
            }
            for task, count in self.store.counts(splits).items():  # type: ignore[arg-type]
                states = [
                    row.state
                    for cell, row in self.rows.items()
                    if cell.task == task and cell.image_id in inside
                ]
                found = (count.requested, count.labelled, count.skipped)
                assert found == tuple(states.count(state) for state in list(State)[1:])
                assert count.missing == len(inside) - len(states)
                assert count.spent == sum(
                    step.cost
                    for _, step in self.events
                    if step.to in (State.LABELLED, State.SKIPPED)
                    and step.cell.task == task
                    and step.cell.image_id in inside
                )

    @invariant()
    def the_events_are_the_moves_and_make_the_same_cells(self) -> None:
        events = self.store.events(in_effect=True)
        assert [(event.before, event.move) for event in events] == self.events
        assert self.store.rebuild() == 0


class LedgerOnServer(Ledger):
    """The same in PostgreSQL."""

    def empty_store(self) -> Store:
        store = Store.create(postgres.server().place())
        add_tasks(store)
        return store


PARTITIONS = {"p": 3, "q": 2}


@st.composite
def part_moves(draw: st.DrawFn) -> Move:
    """A move of a region, or of a whole cell, to any state; it may fit or not."""
    to = draw(st.sampled_from(State))
    names = (st.sampled_from(["a", "b"]), st.sampled_from(sorted(TASKS)))
    is_whole = draw(st.integers(0, 5)) == 0
    request = draw(st.sampled_from(["", "r1"]))
    move = Move(cell=draw(st.builds(Cell, *names)), to=to, cost=0.5, request_id=request)
    if is_whole:
        return replace(move, path="x.png" if to == State.LABELLED else "")
    is_key = draw(st.booleans())
    return replace(
        move,
        cell=draw(st.builds(Part, *names, st.integers(1, 3))),
        value=2 if to == State.LABELLED and is_key else None,
        path="x.png" if to == State.LABELLED and not is_key else "",
        partition=draw(st.sampled_from([*"pppq"])),
    )


class Parts(RuleBasedStateMachine):
    """Regions and cells moved at random, and a dict of both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(Ledger.template / "ledger.db", self.folder)
        self.store = Store.open(self.folder / "ledger.db")
        self.store.add_images(ImageRow(image_id=name, root="photos") for name in "ab")
        self.store.add_partitions(
            PartitionRow(image_id=name, digest=digest, maker="files", count=count)
            for name in "ab"
            for digest, count in PARTITIONS.items()
        )
        self.rows: dict[Cell, CellRow] = {}
        self.spent = 0.0
        self.done: list[tuple[dict[Cell, CellRow], float]] = []

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(steps=st.lists(part_moves(), min_size=1, max_size=4))
    def move(self, steps: list[Move]) -> None:
        steps.sort(key=lambda step: isinstance(step.cell, Part))  # cells come first
        rows, spent = dict(self.rows), self.spent
        try:
            for step in steps:
                spent += self.expect(rows, step)
        except ValueError:
            with pytest.raises(LedgerError):
                self.store.move(steps)
            return
        before = self.store.pool_hash()
        self.store.move(steps)
        assert self.store.pool_hash() != before
        self.done.append((self.rows, self.spent))
        self.rows, self.spent = rows, spent

    @classmethod
    def expect(cls, rows: dict[Cell, CellRow], step: Move) -> float:
        cell = step.cell
        old = rows.pop(cell, CellRow(cell=cell))
        if (old.state, step.to) not in LEGAL:
            raise ValueError("illegal")
        if old.state == State.REQUESTED and step.request_id not in ("", old.request_id):
            raise ValueError("another request")
        cls.refuse(rows, step, old)
        if step.to != State.MISSING:
            request = old.request_id if old.state == State.REQUESTED else step.request_id
            rows[cell] = CellRow(
                cell=cell,
                state=step.to,
                request_id=request,
                path=step.path,
                cost=step.cost,
                partition=step.partition,
                value=step.value,
            )
        return step.cost if step.to in (State.LABELLED, State.SKIPPED) else 0.0

    @staticmethod
    def refuse(rows: dict[Cell, CellRow], step: Move, old: CellRow) -> None:
        cell, asks = step.cell, step.to == State.REQUESTED
        others = [
            row
            for row in rows.values()
            if isinstance(row.cell, Part) and row.cell.image_id == cell.image_id
        ]
        if not isinstance(cell, Part):
            of_cell = [row for row in others if row.cell.task == cell.task]
            if asks and any(row.state == State.REQUESTED for row in of_cell):
                raise ValueError("asked for in part")
            return
        standing = {row.partition for row in others} | {old.partition} - {""}
        if standing - {step.partition}:
            raise ValueError("another partition")
        if cell.region > PARTITIONS[step.partition] or (asks and cell.cell in rows):
            raise ValueError("no such region, or not of a missing cell")

    @rule()
    def undo(self) -> None:
        last = self.store.last_operation()
        assert (last is None) == (not self.done)
        if last:
            self.store.undo(last.operation)
            self.rows, self.spent = self.done.pop()

    @invariant()
    def the_ledger_is_the_dict(self) -> None:
        rows = [*self.store.cells(), *self.store.parts()]
        assert {row.cell: row for row in rows} == self.rows
        assert self.store.spent() == self.spent
        assert self.store.rebuild() == 0


def add_tasks(store: Store) -> None:
    for name, cost in TASKS.items():
        store.add_task(TaskRow(name, name, cost))


def setup_module() -> None:
    Ledger.template = Path(tempfile.mkdtemp())
    with Store.create(Ledger.template / "ledger.db") as store:
        add_tasks(store)


def teardown_module() -> None:
    shutil.rmtree(Ledger.template)


TestLedger = Ledger.TestCase
# Without shrinking: the steps are few, and to shrink them takes longer than a test may.
TestLedger.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
)
TestParts = Parts.TestCase
TestParts.settings = settings(TestLedger.settings, max_examples=20)
TestLedgerOnServer = LedgerOnServer.TestCase
TestLedgerOnServer.settings = settings(TestLedger.settings, max_examples=4)
