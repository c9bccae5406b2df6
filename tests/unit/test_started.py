"""What tests start: nothing of it is left, and a wait that is in vain tells what it printed."""

import re
import sys
from pathlib import Path

import pytest

from labelgrid.basics.processes import started_at
from tests.jobs import wait_until
from tests.started import Started

ROOT = Path(__file__).parents[2]
#: Modules that start servers or processes of a group on purpose, and end them by themselves.
OTHERS = {
    "tests/docs/preloaded.py",
    "tests/object_store.py",
    "tests/postgres.py",
    "tests/servers.py",
    "tests/started.py",
    "tests/unit/executors/test_command_job.py",
    "tests/unit/test_started.py",
}
#: Starts a process that lives on, says so, and then ends or goes on.
SPEAKS = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(other.pid, flush=True)
print("a word", file=sys.stderr)
"""


def never() -> bool:
    return False


def test_nothing_of_a_process_is_left_after_an_assertion() -> None:
    with (
        pytest.raises(AssertionError, match="of the test"),
        Started(sys.executable, "-c", f"{SPEAKS}time.sleep(600)") as process,
    ):
        other = int(process.next_line())
        raise AssertionError("of the test")
    assert process.returncode == -9
    wait_until(lambda: started_at(other) is None)


def test_who_waits_for_a_process_that_has_ended_is_told_what_it_printed() -> None:
    words = [sys.executable, "-c", f"{SPEAKS}sys.exit('a fault')"]
    with Started(*words) as process, pytest.raises(AssertionError) as caught:
        wait_until(never, by=process)
    assert "It ended with code 1" in str(caught.value)
    assert "a word\na fault" in str(caught.value)


def test_who_waits_too_long_is_told_where_the_process_stands() -> None:
    with Started(sys.executable, "-c", f"{SPEAKS}time.sleep(600)") as process:
        process.next_line()
        with pytest.raises(AssertionError) as caught:
            wait_until(never, 1, by=process)
    assert "It still runs" in str(caught.value)
    assert re.search(r'a word\n.*File "<string>", line 6 in <module>', str(caught.value), re.S)


def test_no_test_starts_a_process_that_may_be_left() -> None:
    found = set()
    for path in ROOT.glob("tests/**/*.py"):
        if "subprocess.Popen(" in path.read_text(encoding="utf-8"):
            found.add(path.relative_to(ROOT).as_posix())
    assert found <= OTHERS, found - OTHERS
