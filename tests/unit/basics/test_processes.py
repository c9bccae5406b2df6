"""A process that was started by another one ends when that one ends, and only then."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from labelgrid.basics import processes
from labelgrid.cli import main


def test_sigterm_stops_once_as_ctrl_c_and_a_worker_that_inherits_the_handler_at_once() -> None:
    cleaned = False
    with pytest.raises(KeyboardInterrupt), processes.stop_on_sigterm():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned = True
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with processes.stop_on_sigterm():
        context = multiprocessing.get_context("fork")
        worker = context.Process(target=_wait_as_worker, args=(ready := context.Event(),))
        worker.start()
        assert ready.wait(60)
        worker.terminate()
        worker.join(60)
        assert worker.exitcode == -signal.SIGTERM


def test_a_sigterm_that_is_ignored_stays_so() -> None:
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with processes.stop_on_sigterm():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)


IDLE = "0.10 4.00 4.00 1/300 999"


@pytest.mark.parametrize(
    ("name", "own", "load", "expected"),
    [
        ("GOMP_SPINCOUNT", None, IDLE, "30000"),
        # The command before took all cores.
        ("GOMP_SPINCOUNT", None, "4.00 4.00 4.00 1/300 999", "30000"),
        ("GOMP_SPINCOUNT", None, "4.50 0.00 0.00 1/300 999", "0"),
        # Other programs have just started.
        ("GOMP_SPINCOUNT", None, "0.10 0.00 0.00 3/300 999", "0"),
        ("GOMP_SPINCOUNT", None, "unknown", "30000"),
        ("GOMP_SPINCOUNT", "5", "9.00 9.00 9.00 9/300 999", "5"),
        ("OMP_WAIT_POLICY", "ACTIVE", IDLE, None),
        ("OPENBLAS_THREAD_TIMEOUT", None, IDLE, "30000"),
        ("OPENBLAS_THREAD_TIMEOUT", "20", IDLE, "30000"),
    ],
)
def test_waiting_threads_sleep_soon_and_beside_other_programs_at_once_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    own: str | None,
    load: str,
    expected: str | None,
) -> None:
    # Set first, so that what the command sets is taken back after the test.
    for each in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT"):
        monkeypatch.setenv(each, "")
        monkeypatch.delenv(each)
    if own:
        monkeypatch.setenv(name, own)
    (tmp_path / "load").write_text(load)
    monkeypatch.setattr(processes, "LOAD", tmp_path / "load")
    monkeypatch.setattr(processes, "cores", lambda: 4)
    monkeypatch.setattr(processes, "_chosen", {})
    monkeypatch.setattr("sys.argv", ["labelgrid", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
    blas = own if name == "OPENBLAS_THREAD_TIMEOUT" else None
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == (blas or "16")
    # What a server starts later looks at the machine again; what the user says holds there, too.
    assert processes.given_environment().get(name) == own


def test_a_command_looks_rarely_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    monkeypatch.setattr(sys, "argv", ["labelgrid", "--version"])
    try:
        with pytest.raises(SystemExit):
            main()
        assert gc.get_threshold()[0] == 20_000
    finally:
        gc.set_threshold(*before)


LOADING = """
import gc
from labelgrid.basics.processes import loading, look_rarely_for_garbage

with loading():
    assert gc.isenabled()
assert not gc.get_freeze_count()
look_rarely_for_garbage()
try:
    with loading():
        with loading():
            assert not gc.isenabled()
        assert not gc.isenabled() and not gc.get_freeze_count()
        raise ImportError("no such library")
except ImportError:
    assert gc.isenabled() and gc.get_freeze_count()
"""


def test_a_command_looks_for_no_garbage_while_it_loads_libraries_and_a_users_process_does() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


KEEPING = """
import resource
import sys

import numpy as np

from labelgrid.basics.processes import keep_freed_memory

keep_freed_memory()


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def fill():
    for _ in range(20):
        arrays = [np.ones(2**20) for _ in range(4)]


fill()
before = faults()
fill()
sys.exit(faults() - before > 20 * 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's memory")
@pytest.mark.parametrize(("chosen", "expected"), [({}, 0), ({"MALLOC_TRIM_THRESHOLD_": "0"}, 1)])
def test_arrays_use_the_memory_that_others_left_unless_the_user_chose_otherwise(
    chosen: dict[str, str], expected: int
) -> None:
    done = subprocess.run([sys.executable, "-c", KEEPING], env=os.environ | chosen)
    assert done.returncode == expected


def _wait_as_worker(ready: Event) -> None:
    processes.end_with_parent()
    ready.set()
    time.sleep(600)


@pytest.mark.parametrize("alive", [True, False])
def test_a_process_of_a_fork_server_ends_with_its_parent_and_no_sooner(
    monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    gone, ended = threading.Event(), threading.Event()

    class Parent:
        pid = 2

        def is_alive(self) -> bool:
            return alive

        def join(self) -> None:
            assert gone.wait(60)

    monkeypatch.setattr(processes.sys, "platform", "elsewhere")
    monkeypatch.setattr(multiprocessing, "parent_process", Parent)
    monkeypatch.setattr(processes.os, "getppid", lambda: 1)  # the fork server
    monkeypatch.setattr(processes.os, "_exit", lambda code: ended.set())
    processes.end_with_parent()
    assert ended.is_set() == (not alive)
    gone.set()
    assert ended.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_held_until_the_block_has_ended(number: signal.Signals) -> None:
    done = []
    with processes.stop_on_sigterm():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), processes.stops_held():
            os.kill(os.getpid(), number)
            done.append("the rest")
        if number == signal.SIGINT:  # SIGTERM is ignored from then on
            assert signal.getsignal(number) == before
    assert done == ["the rest"]


def test_without_a_stop_and_in_another_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def look() -> None:
        with processes.stops_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    with processes.stops_held():
        assert signal.getsignal(signal.SIGINT) != before
    assert seen == [before] == [signal.getsignal(signal.SIGINT)]
