import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TESTS = """
import pytest

def test_passes():
    pass

def test_is_skipped():
    pytest.skip({reason!r})
"""


def run(folder, reason, *words):
    (folder / "test_it.py").write_text(TESTS.format(reason=reason))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", str(folder / "pytest.ini"), *words, str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_skip_for_an_unknown_reason_fails_a_run_of_known_skips_alone(tmp_path, processes):
    status, said = run(tmp_path, "no such package", "--only-known-skips", f"-n{processes}")
    assert status == 1
    assert "Failed: no test may be skipped for 'Skipped: no such package'." in said


def test_a_known_skip_fails_no_run(tmp_path):
    assert run(tmp_path, "there is a GPU", "--only-known-skips")[0] == 0


def test_without_the_option_no_skip_fails_a_run(tmp_path):
    assert run(tmp_path, "no such package")[0] == 0


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_run_ends_with_what_was_skipped_and_the_command_for_it(tmp_path, processes):
    reason = "Label Studio is not installed: run ./dev label-studio"
    status, said = run(tmp_path, reason, "-ra", f"-n{processes}")
    assert status == 0
    assert said.splitlines()[-3:-1] == [
        "Skipped: 1 test, as Label Studio is not installed: ./dev label-studio",
        "All of these: ./dev test --with servers",
    ]


def test_what_no_command_installs_is_not_advised(tmp_path):
    assert "All of these" not in run(tmp_path, "there is a GPU")[1]
