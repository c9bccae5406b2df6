from pathlib import Path

import pytest

from tools import without_lab

TESTS = {
    "loads": "from labelgrid.lab.scenes.rooms import FOV\ndef test_it():\n    assert FOV\n",
    "asks": "def test_it():\n    from labelgrid.lab.scenes.rooms import FOV\n    assert FOV\n",
    "needs_none": "from labelgrid.api.study import simulate\ndef test_it():\n    assert simulate\n",
    "is_broken": "def test_it():\n    from labelgrid.web import study_pages\n    assert study_pages\n",
}


def tried(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    (folder / "test_it.py").write_text(TESTS[name])
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ("-rs", "-p", "tests.laboratory", "-c", str(folder / "pytest.ini"), str(folder))
    return without_lab.main(options), capfd.readouterr().out


def test_tests_of_the_laboratory_are_skipped_and_others_run(tmp_path, capfd):
    for name in ("loads", "asks"):
        status, said = tried(tmp_path, name, capfd)
        assert "1 skipped" in said and "the laboratory is left out" in said, (name, said)
        assert status in (0, 5), said  # 5: no test is in a module that was skipped
    status, said = tried(tmp_path, "needs_none", capfd)
    assert status == 0 and "1 passed" in said


def test_a_part_of_the_package_that_needs_the_laboratory_fails(tmp_path, capfd):
    status, said = tried(tmp_path, "is_broken", capfd)
    assert status == 1 and "ModuleNotFoundError: No module named 'labelgrid.lab'" in said
