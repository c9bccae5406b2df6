"""Laws of pieces of work: each is done once, tried again if its process dies, and stops no other by its fault."""

import os
import signal
import time
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.executors.executor import SaidWait
from labelgrid.executors.pieces import ENOUGH, RETRIES, Piece, PieceList
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from tests.projects import Said

#: As other tests that may start the server of this process first.
PRELOADED = "labelgrid.rounds.shard_scorer"


class Counted(Said):
    """Counts what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.notes = 0, list[str]()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.notes.append(note)


def write(path: Path, progress: Progress) -> None:
    progress.start("Writing", 10, "lines")
    for _ in range(10):
        progress.advance()
    progress.say(f"This is said of {path.stem}.")
    with path.open("a") as file:
        file.write("x")


def die_first(path: Path, times: int, progress: Progress) -> None:
    """Die so many times after half of the work."""
    progress.start("Writing", 10, "lines")
    progress.advance(5)
    marks = len(list(path.parent.glob(f"{path.name}-died-*")))
    if marks < times:
        path.with_name(f"{path.name}-died-{marks}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, progress)


def die_after(path: Path, progress: Progress) -> None:
    write(path, progress)
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(path: Path, progress: Progress) -> None:
    raise LabelError("The label is damaged.", where=path.name)


def write_nothing(path: Path, progress: Progress) -> None:
    pass


def piece(path: Path, function: object = write, *arguments: object) -> Piece:
    return Piece(
        name=f"Piece {path.name}",
        amount=10,
        function=function,  # type: ignore[arg-type]
        arguments=lambda: (path, *arguments),
        is_done=path.exists,
    )


def spread(
    folder: Path, pieces: list[Piece], share: Share | None = None, workers: int = 2
) -> Counted:
    progress = Counted()
    executor = Processes(PRELOADED, workers, share or Share())
    try:
        PieceList(pieces=pieces, executor=executor, folder=folder / "jobs", progress=progress).run()
    finally:
        assert not executor.wait(0)
    return progress


def test_each_piece_is_done_once_and_counted_once(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(5)]
    paths[1].write_text("x")
    progress = spread(tmp_path, list(map(piece, paths)))
    assert [path.read_text() for path in paths] == ["x"] * 5
    assert progress.done == 50 and progress.notes.count("done before") == 1
    said = [line for line in progress.lines if not line.startswith("Waiting for a worker")]
    assert len(said) == 1  # all say the same but for a number


def test_a_piece_whose_process_dies_is_tried_again_and_counted_once(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(3)]
    pieces = [piece(paths[0], die_first, 2), piece(paths[1], die_after), piece(paths[2])]
    progress = spread(tmp_path, pieces)
    assert [path.read_text() for path in paths] == ["x"] * 3 and progress.done == 30
    tries = [line for line in progress.lines if "It is tried again." in line]
    assert len(tries) == 2 and all(line.startswith("Piece 0: Its process ended") for line in tries)


def test_a_piece_that_dies_each_time_or_fails_is_named_when_all_others_are_done(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / str(n) for n in range(4)]
    pieces = [
        piece(paths[0], refuse),
        piece(paths[1]),
        piece(paths[2], write_nothing),
        piece(paths[3]),
    ]
    with pytest.raises(ProjectError) as caught:
        spread(tmp_path, pieces, workers=1)
    text = str(caught.value)
    assert "2 pieces of work could not be finished. Piece 0: The label is damaged" in text
    assert "What was finished is kept." in text and paths[1].exists() and paths[3].exists()
    with pytest.raises(
        ProjectError, match=f"its result is not there. It was tried {RETRIES + 1} times."
    ):
        spread(tmp_path, [pieces[2]])


def test_after_several_failures_nothing_more_is_begun(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(ENOUGH + 3)]
    functions = [refuse] * ENOUGH + [write] * 3
    with pytest.raises(ProjectError, match=f"{ENOUGH} pieces of work could not be finished"):
        spread(tmp_path, list(map(piece, paths, functions)), workers=1)
    assert not any(path.exists() for path in paths)


def test_a_share_does_its_own_pieces_and_asks_of_no_other(tmp_path: Path) -> None:
    def never() -> bool:
        raise AssertionError

    paths = [tmp_path / str(n) for n in range(4)]
    pieces = list(map(piece, paths))
    others = Piece(name="other", amount=10, function=write, arguments=tuple, is_done=never)
    progress = spread(tmp_path, [others, pieces[1], others, pieces[3]], Share(1, 2))
    assert paths[1].exists() and paths[3].exists() and progress.done == 20


def wait_for(path: Path, progress: Progress) -> None:
    path.with_name("began").touch()
    time.sleep(60)


def test_a_stop_ends_all_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    class Asked(Processes):
        def wait(self, seconds: float):  # type: ignore[no-untyped-def]
            if (tmp_path / "began").exists() and done.exists():
                raise KeyboardInterrupt
            return super().wait(seconds)

    done = tmp_path / "0"
    pieces = [piece(done), piece(tmp_path / "never", wait_for)]
    executor = Asked(PRELOADED, 2)
    with pytest.raises(KeyboardInterrupt):
        PieceList(
            pieces=pieces, executor=executor, folder=tmp_path / "jobs", progress=Counted()
        ).run()
    assert done.exists() and not Processes.wait(executor, 0)


def test_a_wait_is_said_with_how_long_and_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SaidWait, "FIRST", 0.05)
    told: list[str] = []
    said = SaidWait(told.append)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        said.look(False, "a worker that begins")
        time.sleep(0.01)
    assert 2 <= len(told) <= 6
    assert told[-1].startswith("Waiting for a worker that begins for ")
    told.clear()
    said.look(True, "")
    said.look(False, "a worker that begins")
    assert not told


def test_pieces_that_no_worker_begins_are_said_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SaidWait, "FIRST", 0.2)
    begun = time.monotonic() + 1.5

    class Queued(Processes):
        """Processes whose jobs wait in a queue of others first, as those of a busy cluster."""

        def _start_waiting(self) -> None:
            if time.monotonic() > begun:
                super()._start_waiting()

    progress = Counted()
    piece = Piece(
        name="a",
        amount=10,
        function=write,
        arguments=lambda: (tmp_path / "a",),
        is_done=(tmp_path / "a").exists,
    )
    executor = Queued(PRELOADED, 1)
    PieceList(pieces=[piece], executor=executor, folder=tmp_path / "jobs", progress=progress).run()
    assert any("Waiting for a worker that begins for" in text for text in progress.lines)
    assert (tmp_path / "a").read_text() == "x"
