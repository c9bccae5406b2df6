"""Laws of folders around an answer."""

from pathlib import Path

import pytest

from labelgrid.annotate.outer_folders import inner_folder


@pytest.mark.parametrize("beside", [(), (".DS_Store",), ("__MACOSX/._sensor", ".hidden/x")])
def test_a_folder_in_which_nothing_else_is_visible_is_an_outer_one(
    tmp_path: Path, beside: tuple[str, ...]
) -> None:
    (tmp_path / "sensor").mkdir()
    for name in beside:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert inner_folder(tmp_path) == tmp_path / "sensor"


def test_other_folders_are_none(tmp_path: Path) -> None:
    for name in ("empty", "two/a", "two/b", "file"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file/a.png").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link/away").symlink_to(tmp_path / "two")
    for name in ("empty", "two", "file", "link", "missing", "file/a.png"):
        assert inner_folder(tmp_path / name) is None, name
