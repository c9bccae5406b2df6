"""Laws of the pytest plug-in: a marked test runs once for each law of its plug-in's sort."""

import subprocess
import sys
from pathlib import Path

TEST = """
import pytest

@pytest.mark.labelgrid_plugin("formats", "tests.contracts.wrong_formats:{name}")
def test_a_format_keeps(labelgrid_law):
    labelgrid_law()
"""


def outcome(folder: Path, text: str, *python: str) -> str:
    """What pytest prints of a file of tests, beside a conftest.py that takes the plug-in."""
    (folder / "conftest.py").write_text('pytest_plugins = ["labelgrid.testing.pytest_plugin"]\n')
    (folder / "test_mine.py").write_text(text)
    words = [sys.executable, *python, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run([*words, "--rootdir", str(folder)], capture_output=True, text=True)
    return done.stdout


def test_each_law_of_a_marked_plug_in_is_a_test(tmp_path: Path) -> None:
    text = outcome(tmp_path, TEST.format(name="Right"))
    assert "test_a_format_keeps[what_it_writes_it_reads] PASSED" in text
    assert "13 passed, 1 skipped" in text


def test_a_law_that_is_broken_is_a_test_that_fails_and_says_what_it_expects(
    tmp_path: Path,
) -> None:
    text = outcome(tmp_path, TEST.format(name="HasLongExamples"))
    assert "test_a_format_keeps[it_declares_what_it_holds] FAILED" in text
    assert "EXAMPLES of tests.contracts.wrong_formats:HasLongExamples must be" in text


def test_a_law_without_a_marker_is_refused(tmp_path: Path) -> None:
    text = outcome(tmp_path, "def test_it(labelgrid_law):\n    labelgrid_law()\n")
    assert '@pytest.mark.labelgrid_plugin("strategies", "mine:build")' in text


def test_where_python_leaves_assertions_out_no_law_is_a_test(tmp_path: Path) -> None:
    text = outcome(tmp_path, TEST.format(name="HasLongExamples"), "-O")
    assert "Python leaves assertions out here" in text
    assert "1 error" in text and "passed" not in text
