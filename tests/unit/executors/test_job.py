"""Laws of a job's folder: what its process writes, and what others make of anything that lies there."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.executors import job
from labelgrid.executors.job import (
    PART,
    JobEnd,
    JobFolder,
    JobOwner,
    JobProgress,
    JobReader,
    JobStep,
    record_job,
)
from tests.jobs import wait_until
from tests.projects import Said


def begun(path: Path) -> JobProgress:
    """The progress of a job that has begun."""
    progress = JobProgress(JobFolder(path), Silent())
    progress.start("Training", 8, "steps")
    return progress


def test_a_folder_says_what_its_job_does_and_then_how_it_ended(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    assert (folder.state, folder.step, folder.end) == ("waiting", None, None)
    said = Said()
    with record_job(folder.path, said) as progress:
        progress.say("Resuming.")
        assert folder.state == "waiting" and not folder.path.exists()
        progress.start("Training", 8, "steps")
        progress.advance(8, "loss 2")
        assert folder.state == "running"
        assert folder.step == JobStep(
            what="Training",
            done=8,
            total=8,
            unit="steps",
            note="loss 2",
            seconds=folder.step.seconds,
        )
    assert (folder.state, folder.end) == ("ended", JobEnd("ended"))
    assert JobReader(folder).new_messages() == said.lines == ["Resuming."]


def test_a_job_that_is_refused_before_its_first_step_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProjectError), record_job(tmp_path / "job", Silent()) as progress:
        progress.say("There is no model yet.")
        raise ProjectError("Nothing was scored.")
    assert not list(tmp_path.iterdir())


def test_a_fault_is_its_sentence_and_a_crash_also_its_traceback_that_is_no_message(
    tmp_path: Path,
) -> None:
    folder = JobFolder(tmp_path / "job")
    with pytest.raises(ProjectError), record_job(folder.path, Silent()) as progress:
        progress.start("Training", 8, "steps")
        raise ProjectError("The disk is full.", next_step="Free some.")
    assert folder.end == JobEnd("failed", "The disk is full.\n  Free some.")
    for error, again in ((NameError("x"), False), (MemoryError("no room"), True)):
        with pytest.raises(type(error)), record_job(folder.path, Silent()) as progress:
            progress.start("Training", 8, "steps")
            progress.say("1 step.")
            raise error
        fault = f"{type(error).__name__}: {error} (see {folder.path / 'log.txt'})."
        assert folder.end == JobEnd("failed", fault, again)
        assert "test_job.py" in (folder.path / "log.txt").read_text()
        assert JobReader(folder).new_messages() == ["1 step."]


def test_who_makes_the_file_stop_ends_the_job_at_its_next_report(tmp_path: Path) -> None:
    for report in ("start", "advance", "say"):
        folder = JobFolder(tmp_path / report)
        with pytest.raises(KeyboardInterrupt), record_job(folder.path, Silent()) as progress:
            progress.start("Training", 8, "steps")
            progress.advance()
            (folder.path / "stop").touch()
            arguments = {"start": ("Scoring", 3, "images"), "advance": (1,), "say": ("1",)}
            getattr(progress, report)(*arguments[report])
        assert folder.state == "stopped"
    begun(folder.path).advance()  # a new job is not stopped by the wish of before


def test_whoever_watches_a_job_that_stops_is_told_which_file_asked_for_it(tmp_path: Path) -> None:
    said: list[str] = []
    beside = Silent()
    beside.say = said.append  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), record_job(tmp_path / "job", beside) as progress:
        progress.start("Training", 8, "steps")
        (tmp_path / "job" / "stop").touch()
        progress.advance()
    assert said == [f"The file {tmp_path / 'job' / 'stop'} asks to stop."]


def test_progress_is_written_a_few_times_a_second_at_most_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    now = [0.0]
    monkeypatch.setattr(job.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(JobFolder, "write", lambda _, name, step: written.append(step.done))
    progress = JobProgress(JobFolder(tmp_path), Silent())
    progress.is_begun = True
    progress.start("Training", 1000, "steps")
    for _ in range(1000):
        now[0] += 0.001
        progress.advance()
    assert written[0] == 0 and written[-1] == 1000
    assert 4 <= len(written) <= 6


def test_messages_arrive_whole_in_order_and_once_whatever_they_hold(tmp_path: Path) -> None:
    progress = begun(tmp_path / "job")
    reader = JobReader(progress.folder)
    texts = ["a\nb", r"a\nb", "\\\n\\", "", "  x ", "é\r\t\x1b", "7", "y" * 9000]
    for text in texts:
        progress.say(text)
        assert reader.new_messages() == [text]
    assert JobReader(progress.folder).new_messages() == texts
    log = progress.folder.path / "log.txt"
    with log.open("a") as file:  # as a reader sees a write that is under way
        file.write("10:00:00 ha")
    assert reader.new_messages() == []
    with log.open("a") as file:
        file.write("lf\n")
    assert reader.new_messages() == ["half"]


def test_names_that_are_no_text_are_readable_in_records_and_messages(tmp_path: Path) -> None:
    progress = begun(tmp_path / "job")
    progress.advance(8, "a\udcff.jpg")
    progress.say("a\udcff.jpg")
    step = progress.folder.step
    assert step and step.note == r"a\udcff.jpg"
    assert JobReader(progress.folder).new_messages() == [r"a\udcff.jpg"]


def test_a_step_is_read_again_only_if_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = begun(tmp_path / "job")
    reader = JobReader(progress.folder)
    step = reader.new_step()
    assert step and step.done == 0
    with monkeypatch.context() as patch:
        patch.setattr(job, "open_regular", None)
        assert reader.new_step() is None and reader.new_messages() == []
    progress.advance(8)
    step = reader.new_step()
    assert step and step.done == 8


def _killed(path: Path) -> None:
    begun(path)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_process_is_gone_has_died_even_if_another_has_its_number(
    tmp_path: Path,
) -> None:
    folder = JobFolder(tmp_path / "job")
    process = get_context("fork").Process(target=_killed, args=(folder.path,))
    process.start()
    os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)
    assert folder.state == "died"  # before its parent asks, too
    process.join()
    assert folder.state == "died"
    own = JobOwner.current()
    folder.write("pid", own)
    assert folder.state == "running"
    folder.write("pid", JobOwner(own.pid, "1", own.host))
    assert folder.state == ("died" if own.start else "running")
    folder.write("pid", JobOwner(1 << 60, "1", f"not-{socket.gethostname()}"))
    assert folder.state == "running"  # not known to be gone


def elsewhere(folder: JobFolder, minutes: float) -> None:
    """Make a folder that of a job of another machine, whose last sign is some minutes old."""
    folder.write("pid", JobOwner(7, "1", "gpu-3"))
    moment = time.time() - 60 * minutes
    for path in folder.path.iterdir():
        os.utime(path, (moment, moment))


def test_a_job_of_another_machine_without_a_sign_is_not_running_and_can_be_resumed(
    tmp_path: Path,
) -> None:
    folder = begun(tmp_path / "job").folder
    elsewhere(folder, 9)
    assert (folder.state, folder.end) == ("running", None)
    elsewhere(folder, 14)
    fault = (
        "No sign for 14 min on gpu-3. If nothing runs there any more, the same command resumes it."
    )
    assert (folder.state, folder.end) == ("unknown", JobEnd("unknown", fault, again=True))
    folder.log_message("It goes on.")  # any file that it writes is a sign
    assert (folder.state, folder.end) == ("running", None)
    elsewhere(folder, 14)
    folder.write("end.json", JobEnd("ended"))
    assert (folder.state, folder.end) == ("ended", JobEnd("ended"))


def test_a_job_of_this_machine_needs_no_sign(tmp_path: Path) -> None:
    folder = begun(tmp_path / "job").folder
    for path in folder.path.iterdir():
        os.utime(path, (1, 1))
    assert (folder.state, folder.end) == ("running", None)


def test_a_job_gives_signs_while_it_reports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "SIGN_EVERY", 0.01)
    owner = begun(tmp_path / "job").folder.path / "pid"  # of an earlier job
    os.utime(owner, (1, 1))
    with record_job(owner.parent, Silent()) as progress:
        time.sleep(0.05)
        assert owner.stat().st_mtime == 1
        progress.start("Training", 8, "steps")
        os.utime(owner, (1, 1))
        wait_until(lambda: owner.stat().st_mtime > 1)
    time.sleep(0.05)
    os.utime(owner, (1, 1))
    time.sleep(0.05)
    assert owner.stat().st_mtime == 1


def deep(path: Path) -> None:
    path.write_text("[" * 60_000)


def linked(path: Path) -> None:
    secret = path.parents[1] / "secret"
    secret.write_text(json.dumps({"state": "ended", "fault": "SECRET", "again": False}))
    path.symlink_to(secret)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


HOSTILE = {
    "garbage": lambda path: path.write_bytes(b"\xff\x00{"),
    "another value": lambda path: path.write_text("[1]"),
    "other keys": lambda path: path.write_text('{"a": 1}'),
    "wrong types": lambda path: path.write_text('{"pid": "x", "start": 1, "host": []}'),
    "a number too long": lambda path: path.write_text('{"pid": 1' + "0" * 9000 + "}"),
    "deep": deep,
    "a link": linked,
    "a loop": lambda path: path.symlink_to(path),
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "huge": huge,
}


@pytest.mark.parametrize("name", ["pid", "end.json", "progress.json", "log.txt"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_lies_in_a_folder_no_reader_crashes_or_leaves_it(
    tmp_path: Path, name: str, kind: str
) -> None:
    folder = begun(tmp_path / "job").folder
    (folder.path / name).unlink(missing_ok=True)
    HOSTILE[kind](folder.path / name)
    reader = JobReader(folder)
    assert folder.state == ("unknown" if name in ("pid", "end.json") else "running")
    assert folder.end is None
    step = reader.new_step()
    assert step is None if name == "progress.json" else step and step.what == "Training"
    for _ in range(3):
        assert reader.new_messages() == []
    progress = begun(folder.path)  # a new job has a folder of its own
    progress.say("1")
    assert folder.state == "running" and JobReader(folder).new_messages() == ["1"]


def test_a_log_without_line_ends_is_passed_over(tmp_path: Path) -> None:
    progress = begun(tmp_path / "job")
    (progress.folder.path / "log.txt").write_bytes(b"1" * (PART + 5))
    reader = JobReader(progress.folder)
    progress.say("\n")
    progress.say("after")
    assert reader.new_messages() == []
    assert reader.new_messages()[-1] == "after"


def test_a_folder_that_is_a_link_is_replaced_by_a_job_and_not_read(tmp_path: Path) -> None:
    outside = begun(tmp_path / "outside").folder
    (tmp_path / "job").symlink_to(outside.path)
    folder = JobFolder(tmp_path / "job")
    assert (folder.state, folder.step, folder.end) == ("unknown", None, None)
    before = sorted(path.read_bytes() for path in outside.path.iterdir())
    begun(folder.path).say("1")
    assert folder.state == "running" and not folder.path.is_symlink()
    assert sorted(path.read_bytes() for path in outside.path.iterdir()) == before


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.write_bytes(b"1")])
def test_what_is_no_folder_is_replaced_by_one(
    put: Callable[[Path], object], tmp_path: Path
) -> None:
    put(tmp_path / "job")
    assert begun(tmp_path / "job").folder.state == "running"


def test_a_new_job_removes_no_files_but_those_of_a_job(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "job"  # the folder of a round may be a link
    begun(outside).folder.write("end.json", JobEnd("ended"))
    (outside / "mine").touch()
    (outside / "stop").touch()
    (tmp_path / "round").symlink_to(outside.parent)
    begun(tmp_path / "round" / "job")
    assert sorted(path.name for path in outside.iterdir()) == ["mine", "pid", "progress.json"]


def test_a_disk_that_refuses_the_folder_stops_no_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with record_job(tmp_path / "file" / "job", Silent()) as progress:
        progress.start("Training", 1, "steps")
        progress.say("1")
        progress.advance()
    assert (tmp_path / "file").read_bytes() == b""
