"""Pipes and devices in place of files are refused by every command, and none waits for them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics.errors import ModelError
from labelgrid.nets.backbones import read_state
from tests.e2e.commands import done, said, typed
from tests.support import Made

pytestmark = pytest.mark.timeout(120)
Copied = Callable[[str], Path]
FAULT = "it is a pipe or a device, not a file"


@pytest.fixture(params=["pipe", "device"])
def special(request: pytest.FixtureRequest) -> Callable[[Path], Path]:
    """Make a pipe, or a link to a device without an end, in place of a file."""

    def make(path: Path) -> Path:
        path.unlink(missing_ok=True)
        os.mkfifo(path) if request.param == "pipe" else path.symlink_to("/dev/zero")
        return path

    return make


Special = Callable[[Path], Path]


def fault(*words: object) -> str:
    """What a command says that is refused."""
    result = typed(*words)
    assert result.code in (1, 2), result
    return said(result.err) if "Error: " in result.err else result.err


def test_an_image(special: Special, data: Made, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(data.images, tmp_path / "photos"))
    special(photos / "x.png")
    assert FAULT in fault("init", tmp_path / "a", "--images", photos, "--task", "depth")
    done("init", tmp_path / "b", "--images", photos, "--task", "depth", "--check", "none")
    assert FAULT in done("query", tmp_path / "b", "--budget", 10, "--strategy", "random_cells").err
    done("export", tmp_path / "b", "--out", tmp_path / "out")
    assert not list((tmp_path / "out").rglob("x.png"))
    assert FAULT in fault("verify", tmp_path / "b") or FAULT in typed("verify", tmp_path / "b").out


def test_a_list_a_class_file_a_recipe_and_a_file_of_tasks(
    special: Special, data: Made, tmp_path: Path
) -> None:
    path, flat = special(tmp_path / "x.toml"), tmp_path / "flat"
    assert FAULT in fault("init", flat, "--images", path, "--task", "depth")
    assert FAULT in fault("init", flat, "--images", data.images, "--task", f"semseg:{path}")
    assert FAULT in fault("init", flat, "--images", data.images, "--tasks", path)
    assert "There is no recipe" in fault(
        "init", flat, "--images", data.images, "--task", "depth", "--recipe", path
    )
    (tmp_path / "mine.toml").write_text('extends = "x.toml"')
    words = ["--images", data.images, "--task", "depth", "--recipe", tmp_path / "mine.toml"]
    assert "There is no recipe" in fault("init", flat, *words)
    assert not flat.exists()


def test_a_label_and_the_lists_of_an_answer(
    special: Special, project: Copied, data: Made, tmp_path: Path
) -> None:
    flat = project("new")
    answer = tmp_path / "answer/depth"
    answer.mkdir(parents=True)
    special(answer / "0001.png")
    text = fault("import", flat, answer.parent)
    assert FAULT in text or "a link that leads out" in text
    (answer / "0001.png").unlink()
    shutil.copy(data.label(data.names[1], "depth"), answer)
    for name in ("manifest.json", "labels.csv", "skips.csv"):
        special(answer.parent / name)
    done("import", flat, answer.parent)


def test_a_label_in_the_project(special: Special, project: Copied, tmp_path: Path) -> None:
    flat = project("fitted")
    special(next((flat / "labels/depth").iterdir()))
    for words in (
        ["fit", flat, "--epochs", 3],
        ["export", flat, "--labels", "--out", tmp_path / "out"],
    ):
        text = fault(*words)
        assert FAULT in text or "leads out of the project" in text
    assert typed("verify", flat).code == 1
    assert json.loads(done("status", flat, "--json").out)["images"] == 10


def test_a_checkpoint_and_scores(
    special: Special, project: Copied, data: Made, tmp_path: Path
) -> None:
    flat = project("fitted")
    done("score", flat)
    special(next(flat.rglob("scores.parquet")))
    special(next(flat.rglob("last.ckpt")))
    for words in (
        ["evaluate", flat],
        ["predict", flat, data.images, "--out", tmp_path / "out"],
        ["fit", flat],
    ):
        result = typed(*words)
        assert "Traceback" not in result.err
    assert typed("predict", flat, data.images, "--out", tmp_path / "out").code == 1


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights(special: Special, tmp_path: Path, ending: str) -> None:
    with pytest.raises(ModelError, match="There is no such weights file"):
        read_state(special(tmp_path / f"x{ending}"))


def test_where_a_report_and_an_export_are_written(
    special: Special, project: Copied, tmp_path: Path
) -> None:
    flat = project("fitted")
    assert FAULT in fault("report", flat, "--out", special(tmp_path / "x.html"))
    (tmp_path / "out").mkdir()
    special(tmp_path / "out/labels.csv")
    assert "neither empty nor an earlier export" in fault(
        "export", flat, "--labels", "--out", tmp_path / "out"
    )
