"""Laws of the commands on data sets: what is made is said, and a wrong size is refused before anything is rendered."""

import json
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics import plugins
from tests.e2e.commands import done, typed
from tests.support import make_dataset


@pytest.mark.parametrize("size", ["96", "96x", "0x128", "96x128x3", "a×b"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    found = typed("scenes", tmp_path / "rooms", "--size", size)
    assert found.code == 2 and "--size 96x128" in found.err
    assert not (tmp_path / "rooms").exists()


def test_scenes_are_rendered_and_shown(tmp_path: Path) -> None:
    pytest.importorskip("mitsuba", reason="scenes need the extra [lab]")
    rooms, picture = tmp_path / "rooms", tmp_path / "sheet.png"
    words = ("scenes", rooms, "--size", "16x24", "--samples", 2, "--jobs", 1)
    said = done(*words, "--count", 2).out
    assert "2 scenes, 2 of them rendered now" in " ".join(said.split())
    values = json.loads(done(*words, "--count", 3, "--json").out)
    assert values == {"folder": str(rooms), "scenes": 3, "rendered": 1}
    done("sheet", rooms, "--out", picture, "--count", 2)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_sheet_is_written_over_nothing_but_a_png(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=1, size=(16, 24), tasks=("depth",))
    (made.root / "tasks.toml").write_text("[depth]\n")
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    found = typed("sheet", made.root, "--out", other)
    assert found.code == 1 and "Name it notes.png" in " ".join(found.err.split())
    assert other.read_text() == "mine"
    drawn = json.loads(done("sheet", made.root, "--out", tmp_path / "sheet.PNG", "--json").out)
    assert drawn == {"sheet": str(tmp_path / "sheet.PNG"), "shown": 1, "images": 1}
    image = next((made.root / "images").iterdir())
    before = image.read_bytes()
    found = typed("sheet", made.root, "--out", image.with_suffix(".png"))
    assert found.code == 2 and "is inside the data set" in " ".join(found.err.split())
    assert image.read_bytes() == before and not image.with_suffix(".png").exists()


def test_a_sheet_of_a_project_is_drawn_in_it(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=3, size=(16, 24), tasks=("depth",))
    done("init", tmp_path / "flat", "--images", made.images, "--task", "depth", "--holdout", 0)
    said = done("sheet", tmp_path / "flat", "--count", 2).out
    assert "sheet.png: 2 of 3 images, none of which has a label." in " ".join(said.split())
    done("import", tmp_path / "flat", made.root / "labels")
    said = done("sheet", tmp_path / "flat", "--out", tmp_path / "own.png").out
    assert "own.png: 3 of 3 images with labels." in " ".join(said.split())
    for path in (tmp_path / "flat/sheet.png", tmp_path / "own.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    found = typed("sheet", tmp_path / "flat", "--format", "nyud")
    assert found.code == 2 and "Leave out --format and --tasks" in " ".join(found.err.split())
    found = typed("sheet", made.root)
    assert found.code == 2 and "Name a PNG file: --out sheet.png" in " ".join(found.err.split())


def test_a_data_set_is_checked_and_drawn(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=3, size=(16, 24), tasks=("depth",))
    (made.root / "tasks.toml").write_text("[depth]\n")
    out = done("data", "check", "folder", made.root, "--out", tmp_path / "sheet.png").out
    assert "Read 3 of 3 images, of the sizes 16x24 (3). Splits: none." in out
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    made.label(made.names[1], "depth").write_bytes(b"damaged")
    found = typed("data", "check", "folder", made.root, "--json", "--out", tmp_path / "again.png")
    (fault,) = json.loads(found.out)["faults"]
    assert (
        found.code == 1
        and fault["cell"] == {"image_id": made.names[1], "task": "depth"}
        and (tmp_path / "again.png").is_file()
    )
    found = typed("data", "check", "folder", made.root)
    assert found.code == 1 and str(made.label(made.names[1], "depth")) in found.out
    (made.root / "tasks.toml").unlink()
    assert "Name a file of tasks with --tasks" in typed("data", "check", "folder", made.root).err
    found = typed("data", "check", "folder", made.root, "--out", made.root / "sheet.png")
    assert found.code == 2 and "is inside the data set" in " ".join(found.err.split())


def test_a_layout_says_where_to_get_the_data_set_and_which_files_it_has() -> None:
    for name in plugins.names("layouts"):
        out = done("data", "layout", name).out
        module = plugins.module("layouts", name)
        assert module.ORIGIN in out and module.LAYOUT.strip() in out
        values = json.loads(done("data", "layout", name, "--json").out)
        assert values["origin"] == module.ORIGIN and values["layout"] == module.LAYOUT.strip("\n")
        assert values["layout"] in out and out.startswith(values["what"])
    assert "pascal" in typed("data", "layout", "pascall").err


def test_predictions_are_measured_on_a_data_set(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=3, size=(16, 24), tasks=("depth",))
    (made.root / "tasks.toml").write_text("[depth]\n")
    (made.root / "splits").mkdir()
    (made.root / "splits/val.txt").write_text(made.names[1])
    words = ("data", "evaluate", "folder", made.root, made.labels)
    assert json.loads(done(*words, "--json").out)["labels"] == {"depth": 3}
    one = json.loads(done(*words, "--split", "val", "--json").out)
    assert one["labels"] == {"depth": 1} and one["metrics"]["depth"]["RMSE"]["value"] == 0
    assert "RMSE" in done(*words).out
    found = typed(*words, "--split", "test")
    assert found.code == 2 and "Its splits are: val." in " ".join(found.err.split())


def test_a_remark_is_printed_and_advice_is_on_the_file_of_tasks(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=2, size=(16, 24), tasks=("depth", "normals"))
    (made.root / "tasks.toml").write_text("[depth]\nscale = 1\n[normals]\n")
    found = typed("data", "check", "folder", made.root)
    assert found.code == 0 and "Remark: depth: the median depth is" in found.out
    away = tmp_path / "out/normals"
    away.mkdir(parents=True)
    for name in made.names:
        np.save(
            away / Path(name).with_suffix(".npy"),
            np.full((16, 24, 3), (0.0, 0.0, -1.0), np.float32),
        )
    found = typed("data", "evaluate", "folder", made.root, tmp_path / "out")
    assert found.code == 0 and "of the predictions is -1, that of the labels" in " ".join(
        found.err.split()
    )
    (made.root / "tasks.toml").write_text(
        '[depth]\n[normals]\naxes = "x right, y up, z away from the camera"\n'
    )
    words = " ".join(typed("data", "check", "folder", made.root).out.split())
    assert '`axes = "x right, y down, z away from the camera"`' in words
    assert "labelgrid task" not in words and "--tasks names" in words


@pytest.mark.parametrize("words", [("check", "pascal"), ("evaluate", "cityscapes")])
def test_a_root_of_another_layout_is_answered_with_the_command_that_prints_the_layout(
    words: tuple[str, str], tmp_path: Path
) -> None:
    found = typed("data", *words, tmp_path, *([tmp_path] if words[0] == "evaluate" else []))
    assert found.code == 1 and f"`labelgrid data layout {words[1]}` prints the layout." in " ".join(
        found.err.split()
    )
