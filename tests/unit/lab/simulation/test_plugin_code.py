"""Laws of the digests of a study's own plug-ins: they follow the code that runs, and nothing is imported."""

import sys
from pathlib import Path

import pytest

from labelgrid.lab.simulation.plugin_code import changed_plugins, digests


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "ownplugs" / "deep"
    package.mkdir(parents=True)
    (tmp_path / "ownplugs" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "__init__.py").write_text("")
    (package / "picks.py").write_text(
        "from . import helpers\nfrom ownplugs.deep.more import x\nimport numpy\n"
    )
    for name in ("helpers", "more", "unused"):
        (package / f"{name}.py").write_text("x = 1\n")
    (tmp_path / "single.py").write_text("def build(): ...\n")
    return tmp_path


NAMED = {
    "study": {
        "strategies": ["single:build", "partal"],
        "arms": {"a": {"changes": {"x": "ownplugs.deep.picks:build"}}},
    },
    "recipe": {
        "score": {"single:other": {}},
        "network": {"name": "labelgrid.nets.networks.pad_net:build"},
    },
    "classes": ["road:wet", "nowhere.module:x", "a b:c"],
}


def test_own_plug_ins_are_found_anywhere_and_nothing_is_imported(code: Path) -> None:
    assert sorted(digests(NAMED)) == ["ownplugs.deep.picks:build", "single:build", "single:other"]
    assert not {"ownplugs", "single"} & set(sys.modules)


@pytest.mark.parametrize(
    ("file", "changes"), [("picks", True), ("helpers", True), ("more", True), ("unused", False)]
)
def test_a_digest_follows_the_module_and_what_it_imports_of_its_package(
    code: Path, file: str, changes: bool
) -> None:
    before = digests(NAMED)
    path = code / "ownplugs" / "deep" / f"{file}.py"
    path.write_text(path.read_text() + "y = 2\n")
    assert changed_plugins(before, digests(NAMED)) == (
        ["ownplugs.deep.picks:build"] if changes else []
    )


def test_a_file_that_is_no_python_is_left_to_the_import(code: Path) -> None:
    before = digests(NAMED)
    for text in ("def (\n", "x = '\0'\n", f"x = {'-' * 100_000}1\n"):
        (code / "single.py").write_text(text)
        assert changed_plugins(before, digests(NAMED)) == ["single:build", "single:other"]


def test_relative_imports_that_leave_the_package_are_passed_over(code: Path) -> None:
    optional = "try:\n    from . import x\nexcept ImportError:\n    pass\n"
    (code / "single.py").write_text(optional)
    (code / "ownplugs" / "deep" / "picks.py").write_text(
        "from .... import x\nfrom .. import deep\n"
    )
    assert sorted(digests(NAMED)) == ["ownplugs.deep.picks:build", "single:build", "single:other"]
