"""Sixty photographs of one's own: labels of nine tools come in by one command each, and go out and back."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask
from tests.contracts.test_connectors import annotator
from tests.e2e.commands import done
from tests.oracles import ORACLES, needs_oracles
from tests.photographs import TOOLS, VOID, Photograph, make_photographs, png
from tests.support import CLASSES
from tests.unit.formats.exr_files import exr

COUNT = 60
ROOT = Path(__file__).parents[2]
#: Of Cityscapes datumaro reads `labelTrainIds` alone; nobody's library reads masks of a class.
READ = {name: COUNT for name in TOOLS if name != "class-masks"} | {"cityscapes": COUNT // 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Photograph]]:
    """A folder with `photos`, and the project `new` of them, to copy."""
    folder = tmp_path_factory.mktemp("own")
    photographs = make_photographs(folder / "photos", COUNT)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    task = f"semseg:{folder / 'classes.txt'}"
    said = done("init", folder / "new", "--images", folder / "photos", "--task", task)
    assert f"{COUNT} images" in said.out
    return folder, photographs


@pytest.fixture
def project(made: tuple[Path, list[Photograph]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0] / "new", tmp_path / "project"))


def labels(project: Path) -> Mapping[str, np.ndarray]:
    """The pixels of the label file of each image."""
    with ProjectFolder.open(project) as opened:
        paths = {row.cell.image_id: opened.inside(row.path) for row in opened.store.cells()}
    return {name: np.asarray(Image.open(path)) for name, path in paths.items()}


def assert_same(project: Path, photographs: list[Photograph]) -> None:
    found = labels(project)
    assert found.keys() == {photograph.name for photograph in photographs}
    for photograph in photographs:
        np.testing.assert_array_equal(found[photograph.name], photograph.truth, photograph.name)


@pytest.mark.parametrize("name", TOOLS)
def test_labels_of_a_tool_come_in_by_one_command_pixel_by_pixel(
    made: tuple[Path, list[Photograph]], project: Path, tmp_path: Path, name: str
) -> None:
    tool = TOOLS[name]
    (tmp_path / "from-tool").mkdir()
    answer = tool.write(made[1], tmp_path / "from-tool")
    done("import", project, answer, *tool.options)
    assert_same(project, made[1])


@needs_oracles
def test_the_tools_own_libraries_read_the_same_pixels(
    made: tuple[Path, list[Photograph]], tmp_path: Path
) -> None:
    photographs = made[1]
    for name in READ:
        (tmp_path / name).mkdir()
        TOOLS[name].write(photographs, tmp_path / name)
    rows = [{"stem": each.stem, "shown": each.shown, "size": each.size} for each in photographs]
    (tmp_path / "photographs.json").write_text(json.dumps(rows))
    maps = {str(number): each.truth for number, each in enumerate(photographs)}
    np.savez(tmp_path / "truth.npz", **maps)
    python = ORACLES / "bin" / "python"
    words = [python, ROOT / "tests" / "oracles" / "read_photographs.py", tmp_path]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300)
    assert json.loads(said.stdout) == {name: [count, 0] for name, count in READ.items()}


@pytest.mark.parametrize("tool", ["label-studio", "cvat", "coco", "folder"])
def test_a_request_goes_out_is_answered_and_comes_back_pixel_by_pixel(
    made: tuple[Path, list[Photograph]], project: Path, tmp_path: Path, tool: str
) -> None:
    photographs = made[1]
    with ProjectFolder.open(project) as opened:
        ask(opened, [Cell(photograph.name, "semseg") for photograph in photographs], 1)
        ids = {row.cell.image_id: row.request_id for row in opened.store.cells()}
    sent = tmp_path / "sent"
    done("export", project, "--to", tool, "--out", sent)
    answers = {}
    for number, photograph in enumerate(photographs):
        assert shown_size(sent, photograph) == photograph.size
        answers[ids[photograph.name]] = tmp_path / f"{number}.png"
        answers[ids[photograph.name]].write_bytes(png(photograph.truth))
    done("import", project, annotator(tool.replace("-", "_")).answer(sent, answers, {}))
    assert_same(project, photographs)


def shown_size(sent: Path, photograph: Photograph) -> tuple[int, int]:
    """Height and width of a sent image, as a tool shows it, whether as a copy or as it is."""
    folder, _, last = photograph.name.rpartition("/")
    (path,) = [
        path
        for path in sent.glob("**/images/**/*")
        if last in (path.name, path.stem)
        and path.parent.as_posix().endswith(f"images/{folder}".rstrip("/"))
    ]
    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).size
    return height, width


TASKS = """
[depth]
[normals]
[counted]
kind = "semseg"
classes = ["wall", "floor", "box", "ball"]
first = 1
[numbered]
kind = "semseg"
classes = ["wall", "floor", "box", "ball"]
ids = {7 = "floor", 11 = "wall", 26 = "box", 24 = "ball", 0 = "ignore"}
[coloured]
kind = "semseg"
classes = ["wall", "floor", "box", "ball"]
colours = {ball = "#fa3253", floor = "#34d1b7", box = "#b83df5", wall = "#ff6a4d", ignore = "#000000"}
"""


def test_what_sensors_and_renderers_write_comes_in_by_one_command(
    made: tuple[Path, list[Photograph]], tmp_path: Path
) -> None:
    folder, photographs = made
    (tmp_path / "tasks.toml").write_text(TASKS)
    words = ("--images", folder / "photos", "--tasks", tmp_path / "tasks.toml")
    done("init", tmp_path / "project", *words)
    for photograph in photographs:
        write_maps(photograph, tmp_path / "labels")
    done("import", tmp_path / "project", tmp_path / "labels")
    with ProjectFolder.open(tmp_path / "project") as project:
        tasks = project.tasks()
        paths = {row.cell: project.inside(row.path) for row in project.store.cells()}
        assert len(paths) == 5 * len(photographs)
        for photograph in photographs:
            found = {
                name: task.read(paths[Cell(photograph.name, name)]) for name, task in tasks.items()
            }
            for name in ("counted", "numbered", "coloured"):
                value = np.where(found[name].valid, found[name].value[..., 0], VOID)
                np.testing.assert_array_equal(value, photograph.truth, photograph.name)
            depth = photograph.scene.depth[..., None].astype(np.float32)
            np.testing.assert_array_equal(found["depth"].value, depth)
            normals = photograph.scene.normals
            np.testing.assert_allclose(found["normals"].value, normals, atol=1e-6)


def write_maps(photograph: Photograph, labels: Path) -> None:
    """Write depth and normals as renderers do, and maps of classes by three sorts of numbers."""
    truth = photograph.truth
    is_void = truth == VOID
    stem = photograph.name.rpartition(".")[0]
    paths = {name: labels / name / f"{stem}{end}" for name, end in ENDS.items()}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    exr(paths["depth"], {"V": photograph.scene.depth.astype(np.float32)})
    planes = np.moveaxis(photograph.scene.normals, -1, 0).astype(np.float32)
    planes = np.ascontiguousarray(planes)  # OpenEXR writes others wrongly
    exr(paths["normals"], dict(zip("XYZ", planes, strict=True)))
    Image.fromarray(np.where(is_void, 0, truth + 1).astype(np.uint8)).save(paths["counted"])
    numbers = np.array([11, 7, 26, 24, 0], np.uint8)
    Image.fromarray(numbers[np.where(is_void, 4, truth)]).save(paths["numbered"])
    colours = np.array(
        [(255, 106, 77), (52, 209, 183), (184, 61, 245), (250, 50, 83), (0, 0, 0)], np.uint8
    )
    paths["coloured"].write_bytes(png(colours[np.where(is_void, 4, truth)]))


ENDS = {
    "depth": ".exr",
    "normals": ".exr",
    "counted": ".tif",
    "numbered": ".bmp",
    "coloured": ".png",
}
