"""Laws of Ray: workers are kept, replaced when they die, and end with who started them; the terminal is the user's."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.processes import started_at
from labelgrid.basics.progress import Progress
from labelgrid.executors.job import JobEnd, JobFolder
from labelgrid.executors.pieces import Piece, PieceList
from labelgrid.executors.places.ray import UNBEGUN, Ray
from labelgrid.executors.ray_driver import RayReply, last_line
from labelgrid.executors.ray_worker import RayCall, RayWorker
from labelgrid.executors.workplace import executor_at
from tests.jobs import JobMaker, wait_until
from tests.projects import Said
from tests.ray_clusters import environment, need_ray
from tests.started import Started

COVERS = ["labelgrid.executors.ray_driver", "labelgrid.executors.ray_worker"]


@pytest.fixture
def one_worker(ray_address: str) -> Iterator[Ray]:
    executor = executor_at(f"ray:{ray_address}", 1, "labelgrid.basics.errors")
    assert isinstance(executor, Ray)
    yield executor
    executor.stop()


def say_who(out: Path, progress: Progress) -> None:
    here = {
        "pid": os.getpid(),
        "place": str(Path.cwd()),
        "trust": os.environ.get("LABELGRID_TRUST"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "path": sys.path,
    }
    out.write_text(json.dumps(here))


def who(executor: Ray, folder: Path) -> dict[str, object]:
    executor.start(folder / "job", say_who, folder / "out")
    assert until_ended(executor) == {folder / "job": JobEnd("ended")}
    found: dict[str, object] = json.loads((folder / "out").read_text())
    return found


def until_ended(executor: Ray) -> dict[Path, JobEnd]:
    found: dict[Path, JobEnd] = {}
    limit = time.monotonic() + 120
    while not found and time.monotonic() < limit:
        found |= executor.wait(1)
    return found


def test_a_worker_is_kept_and_has_folder_and_trust_of_the_moment(
    one_worker: Ray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = who(one_worker, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "mine")
    second = who(one_worker, tmp_path)
    assert first["pid"] == second["pid"] != os.getpid()
    assert second["place"] == str(tmp_path) != first["place"]
    assert second["trust"] == "mine" != first["trust"]
    assert first["threads"] == os.environ.get("OMP_NUM_THREADS")


def test_the_token_of_the_page_goes_to_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELGRID_TOKEN", "a-token-that-is-long")
    monkeypatch.setenv("LABELGRID_TRUST", "mine")
    call = RayCall.of(tmp_path, say_who, [])
    assert call.variables["LABELGRID_TRUST"] == "mine"
    assert "LABELGRID_TOKEN" not in call.variables


def test_what_a_job_needs_is_loaded_by_its_worker_alone(one_worker: Ray, tmp_path: Path) -> None:
    one_worker.start(tmp_path / "job", torch.nn.functional.relu, "no tensor")
    (end,) = until_ended(one_worker).values()
    assert end.state == "failed" and "relu" in end.fault
    assert one_worker._driver is not None
    driver = one_worker._driver._process.pid
    assert "libtorch" not in Path(f"/proc/{driver}/maps").read_text()


def test_a_worker_that_dies_before_a_job_begins_costs_that_job_no_try(
    one_worker: Ray, tmp_path: Path
) -> None:
    first = who(one_worker, tmp_path)
    assert isinstance(first["pid"], int)
    os.kill(first["pid"], signal.SIGKILL)
    assert who(one_worker, tmp_path)["pid"] != first["pid"]


def test_a_job_that_no_worker_lives_to_begin_has_died(tmp_path: Path) -> None:
    executor = Ray("labelgrid.basics.errors", 1)
    executor._give = lambda number: None  # type: ignore[method-assign]
    executor.start(tmp_path / "job", say_who, tmp_path / "out")
    ends: dict[Path, JobEnd] = {}
    for _ in range(UNBEGUN):
        executor._take(RayReply(1, text="It was killed."), ends)
        assert not ends
    executor._take(RayReply(1, text="It was killed."), ends)
    assert ends[tmp_path / "job"].state == "died" and ends[tmp_path / "job"].again


def write_then_die(out: Path, moment: str, progress: Progress) -> None:
    """Write a file, and die at the first try: before that, after that, or when the end is written."""
    with (out.parent / "tries").open("a") as file:
        file.write("|")
    is_first = (out.parent / "tries").read_text() == "|"
    if is_first and moment == "in the middle":
        os.kill(os.getpid(), signal.SIGKILL)
    if not out.exists():
        out.write_text("scores")
        with (out.parent / "made").open("a") as file:
            file.write("|")
    if is_first and moment == "after the file":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["in the middle", "after the file"])
def test_a_job_whose_worker_dies_is_done_once_and_the_death_is_a_line(
    ray_address: str, tmp_path: Path, moment: str
) -> None:
    piece = Piece(
        name="shard 0",
        amount=1,
        function=write_then_die,
        arguments=lambda: (tmp_path / "out", moment),
        is_done=(tmp_path / "out").exists,
    )
    said = Said()
    executor = executor_at(f"ray:{ray_address}", 1, "labelgrid.basics.errors")
    PieceList(pieces=[piece], executor=executor, folder=tmp_path / "jobs", progress=said).run()
    assert (tmp_path / "out").read_text() == "scores" and (tmp_path / "made").read_text() == "|"
    lines = [line for line in said.lines if line.endswith(" It is tried again.")]
    if moment == "after the file":  # the result is there
        assert not lines
        return
    (line,) = lines
    assert line.startswith("shard 0: Its worker ended without a result: ") and "\n" not in line


def end_after_report(folder: Path, progress: Progress) -> None:
    import threading

    def die() -> None:
        while not (folder / "end.json").exists():
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die, daemon=True).start()
    time.sleep(0.1)


def test_a_job_whose_worker_dies_after_its_end_has_ended(one_worker: Ray, tmp_path: Path) -> None:
    one_worker.start(tmp_path / "job", end_after_report, tmp_path / "job")
    assert until_ended(one_worker) == {tmp_path / "job": JobEnd("ended")}


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    need_ray()
    executor = executor_at("ray:127.0.0.1:9", 1, "labelgrid.basics.errors")
    executor.start(tmp_path / "job", say_who, tmp_path / "out")
    with pytest.raises(ProjectError, match=r"Ray cannot be used: .*Connection refused") as refused:
        until_ended(executor)
    executor.stop()
    assert "Is a cluster running there (`ray status --address 127.0.0.1:9`)?" in str(refused.value)


def test_what_workers_cannot_load_is_named(ray_address: str, tmp_path: Path) -> None:
    executor = executor_at(f"ray:{ray_address}", 1, "labelgrid.no_such_module")
    executor.start(tmp_path / "job", say_who, tmp_path / "out")
    (end,) = until_ended(executor).values()
    executor.stop()
    assert end.state == "failed" and not end.again
    assert "No module named 'labelgrid.no_such_module'" in end.fault
    assert JobFolder(tmp_path / "job").end == end


def test_a_machine_without_the_folders_or_with_another_version_is_named(tmp_path: Path) -> None:
    worker = object.__new__(RayWorker)
    worker._fault = ""
    there = tmp_path / "job"
    there.mkdir()
    call = RayCall.of(there, say_who, [tmp_path / "out"])
    for changed, words in [
        ({"folder": str(tmp_path / "elsewhere")}, f"{tmp_path / 'elsewhere'} is not there on "),
        ({"working_folder": str(tmp_path / "gone")}, f"{tmp_path / 'gone'} is not there on "),
        ({"version": "0.0.1"}, "labelgrid is 0.0.1 here, and "),
    ]:
        end = worker.carry_out(RayCall(**{**vars(call), **changed}))
        assert end.state == "failed" and end.fault.startswith(words)


def test_without_ray_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"Ray is not installed") as refused:
        executor_at("ray", 1, "labelgrid.basics.errors")
    assert "pip install 'labelgrid[ray]'" in str(refused.value)


def test_of_what_ray_says_the_last_line_is_told() -> None:
    assert last_line(RuntimeError("Traceback:\n  in f\nIt is full.\n\n")) == "It is full."
    assert last_line(RuntimeError()) == "RuntimeError"
    error = RuntimeError("It cannot connect.")
    error.__cause__ = ValueError("The token is missing.")
    assert last_line(error) == "The token is missing."


def wait_at_first(out: Path, progress: Progress) -> None:
    with out.open("a") as file:
        file.write("|")
    while out.read_text() == "|":
        time.sleep(0.1)


def test_a_cluster_that_dies_alone_is_noticed_and_the_next_job_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_ray()
    for name, value in (("period_ms", "300"), ("failure_threshold", "2"), ("timeout_ms", "900")):
        monkeypatch.setenv(f"RAY_health_check_{name}", value)
    executor = executor_at("ray", 1, "labelgrid.basics.errors")
    assert isinstance(executor, Ray)
    executor.start(tmp_path / "job", wait_at_first, tmp_path / "out")
    wait_until((tmp_path / "out").exists, by=JobMaker(JobFolder(tmp_path / "job")))
    assert executor._driver
    os.kill(named("raylet", descendants(executor._driver._process.pid)), signal.SIGKILL)
    ends = until_ended(executor)
    assert ends[tmp_path / "job"].state == "died" and ends[tmp_path / "job"].again
    for _ in range(2):  # its end may be known somewhat later than the worker's
        executor.start(tmp_path / "job", wait_at_first, tmp_path / "out")
        ends = until_ended(executor)
        if ends[tmp_path / "job"] == JobEnd("ended"):
            break
    executor.stop()
    assert ends == {tmp_path / "job": JobEnd("ended")}


def named(name: str, pids: set[int]) -> int:
    """The process of this name."""
    [found] = [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == name]
    return found


#: Runs a job that dies once, then one without an end, on a cluster of its own.
ALONE = """
import sys
from pathlib import Path
from labelgrid.executors.workplace import executor_at
from labelgrid.executors.pieces import Piece, PieceList
from labelgrid.basics.progress import Silent
from labelgrid.testing.executors import work_on
from tests.unit.executors.places.test_ray import write_then_die

class Loud(Silent):
    def say(self, text):
        print(text, flush=True)

folder = Path(sys.argv[1])
pieces = []
for name, function, arguments in [
    ("dies", write_then_die, (folder / "out", "in the middle")),
    ("works", work_on, ()),
]:
    piece = Piece(
        name=name, amount=1, function=function, arguments=lambda given=arguments: given,
        is_done=(folder / "out").exists if arguments else (folder / "none").exists,
    )
    pieces.append(piece)
if __name__ == "__main__":
    print("begins", flush=True)
    executor = executor_at("ray", 2, "labelgrid.basics.errors")
    PieceList(pieces=pieces, executor=executor, folder=folder, progress=Loud()).run()
"""


def descendants(pid: int) -> set[int]:
    """A process and all that it has started, and they."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = {pid}
    new = [pid]
    while new:
        new = [child for parent in new for child in children.get(parent, [])]
        found.update(new)
    return found


def listening(pids: set[int]) -> set[str]:
    """The addresses at which processes listen, as the kernel writes them."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(link.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="measures peak memory with Linux's /proc")
def test_a_cluster_of_this_machine_prints_nothing_listens_to_no_other_and_ends_with_its_command(
    tmp_path: Path,
) -> None:
    need_ray()
    (tmp_path / "alone.py").write_text(ALONE)
    works = JobFolder(tmp_path / "00001")
    with Started(sys.executable, tmp_path / "alone.py", tmp_path, env=environment()) as process:
        wait_until(
            lambda: works.step and JobFolder(tmp_path / "00000").state == "ended", by=process
        )
        everyone = descendants(process.pid)
        assert len(everyone) > 4
        addresses = listening(everyone)
        assert addresses and all(address.endswith("7F") for address in addresses), addresses
        process.kill()
        wait_until(lambda: works.state in ("died", "stopped"))
        wait_until(lambda: not any(started_at(pid) for pid in everyone))
        out = process.communicate()[0] + process.complaints
    lines = [line for line in out.splitlines() if not line.startswith("Waiting for a worker")]
    assert [line.partition(":")[0] for line in lines] == ["begins", "dies"], out
