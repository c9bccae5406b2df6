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
