"""Laws of passes: whatever is computed, any shards in any place give the same records, and only what is missing is made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.executors.passes import Pass, PassPart, RecordPass, Shard, Stamped
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import Workplace
from tests.projects import Said
from tools.source import ROOT, modules

COVERS = ["labelgrid.executors.workplace"]
WORDS = [f"{'x' * number}" for number in range(1, 21)]


@dataclass(frozen=True, kw_only=True)
class Lengths(Stamped):
    """The lengths of words, as a record."""

    lengths: Sequence[int]


def measure(shard: Shard[Lengths], more: int, progress: Progress) -> Lengths:
    """Measure words."""
    for _ in shard.items:
        progress.advance()
    return Lengths(stamp=shard.stamp, lengths=[len(word) + more for word in shard.items])


def lengths_of(folder: Path, more: int = 0, singly: bool = False) -> RecordPass[Lengths]:
    return RecordPass(
        activity="Measuring words",
        folder=folder,
        kind=Lengths,
        items=WORDS,
        stamp=lambda words: f"{more}:{','.join(words)}",
        function=measure,
        arguments=lambda shard: (more,),
        unit="words",
        title="{item}" if singly else "Shard {number}",
        singly=singly,
    )


def of_processes(shard: int = 8, share: Share | None = None) -> Workplace:
    return Workplace(Processes("labelgrid.executors.passes", 2, share or Share()), shard)


class Notes(Said):
    """Counts what is done, and how much of it before."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0
        self.before = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.before += amount * (note == "done before")


def measured(made: RecordPass[Lengths], workplace: Workplace) -> tuple[list[int], int]:
    """The lengths, and how many of them were measured before."""
    notes = Notes()
    shards = made.shards(workplace)
    assert made.run(shards, workplace, notes) and notes.done == len(WORDS)
    lengths = [length for record in made.records(shards) for length in record.lengths]
    return lengths, notes.before


def test_any_shards_here_and_elsewhere_give_the_same_records(tmp_path: Path) -> None:
    expected = [len(word) for word in WORDS]
    places = {"here": Workplace(), "8": of_processes(), "16": of_processes(16)}
    for name, workplace in places.items():
        assert measured(lengths_of(tmp_path / name), workplace) == (expected, 0)
    assert measured(lengths_of(tmp_path / "singly", singly=True), of_processes()) == (expected, 0)
    assert len(list((tmp_path / "singly").glob("*.json"))) == len(WORDS)


def test_what_a_share_or_a_killed_run_left_is_taken_up_whatever_its_size(tmp_path: Path) -> None:
    made = lengths_of(tmp_path)
    shared = of_processes(8, Share(0, 2))
    assert not made.run(made.shards(shared), shared, Silent())
    first, last = sorted(tmp_path.glob("*.json"))
    assert [first.name, last.name] == ["8-00000.json", "8-00002.json"]
    first.write_text(first.read_text()[:-4])  # damaged
    assert measured(made, of_processes(0)) == ([len(word) for word in WORDS], 4)


def test_records_that_depend_on_something_else_are_made_again(tmp_path: Path) -> None:
    measured(lengths_of(tmp_path), of_processes())
    lengths, before = measured(lengths_of(tmp_path, more=1), of_processes())
    assert lengths[0] == 2 and before == 0


def test_a_record_is_plain_values_with_their_stamp(tmp_path: Path) -> None:
    measured(lengths_of(tmp_path), of_processes(24))
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record == {"stamp": f"0:{','.join(WORDS)}", "lengths": [len(word) for word in WORDS]}


def test_a_record_that_somebody_removed_is_named(tmp_path: Path) -> None:
    made = lengths_of(tmp_path)
    measured(made, of_processes())
    shards = made.shards(of_processes())
    shards[1].path.unlink()
    with pytest.raises(ProjectError, match=r"(?s)of 8 words is not there.*8-00001.*same command"):
        list(made.records(shards))


def make_file(part: PassPart, folder: Path, progress: Progress) -> None:
    """Write a file of a word, of no format that a pass knows."""
    if part.items[0] == "xxx":
        raise ValueError("It is too long.")
    (folder / part.items[0]).write_bytes(b"made")


def test_what_has_a_file_of_its_own_is_made_here_and_elsewhere(tmp_path: Path) -> None:
    making = Pass[PassPart](
        activity="Making files",
        folder=tmp_path,
        function=make_file,
        arguments=lambda part: (tmp_path,),
        is_done=lambda part: (tmp_path / part.items[0]).exists(),
        unit="files",
        title="File {item}",
    )
    parts = [PassPart(items=[word]) for word in ("x", "xx", "xxxx")]
    notes = Notes()
    assert making.run(parts[:1], Workplace(), notes) and (notes.done, notes.before) == (0, 0)
    assert making.run(parts, of_processes(), notes) and (notes.done, notes.before) == (3, 1)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"x", "xx", "xxxx"}
    with pytest.raises(ProjectError, match="File xxx: ValueError: It is too long"):
        making.run([PassPart(items=["xxx"])], of_processes(), notes)


def test_passes_alone_make_pieces_of_work() -> None:
    """One engine: whatever is done in shards, folds or members is a pass."""
    for module in modules(ROOT, "src/labelgrid"):
        if "labelgrid.executors." not in f"{module.name}.":
            assert "from labelgrid.executors.pieces" not in module.text, module.name
