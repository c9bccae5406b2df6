"""Labels as sensors and tools deliver them: what is refused names the option that takes it, and that cures."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from tests.e2e.commands import cells, done, refused, typed
from tests.support import make_scene

Pixels = NDArray[Any]
SIZE = (240, 320)


def name(number: int) -> str:
    return f"{number:04d}"


def save(pixels: Pixels, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)


def scene(number: int, size: tuple[int, int] = SIZE) -> Any:
    return make_scene(np.random.default_rng(number), size)


def photographs(folder: Path, count: int) -> Path:
    for number in range(count):
        save(scene(number).image, folder / "images" / f"{name(number)}.jpg", quality=92)
    return folder / "images"


def label(project: Path, number: int, task: str) -> tuple[Pixels, Pixels]:
    """Value and valid pixels [h, w] of a label of the project."""
    with ProjectFolder.open(project) as opened:
        found = source_of(opened).label(f"{name(number)}.jpg", opened.tasks()[task])
    assert found is not None
    return found.value[..., 0], found.valid


def test_depth_of_480_rows_beside_photographs_of_968_comes_in_by_the_nearest_pixel(
    tmp_path: Path,
) -> None:
    for number in range(2):
        large = cv2.resize(scene(number).image, (1296, 968), interpolation=cv2.INTER_CUBIC)
        save(large, tmp_path / "images" / f"{name(number)}.jpg")
        metres = cv2.resize(scene(number).depth, (640, 480), interpolation=cv2.INTER_NEAREST)
        numbers = np.rint(1000 * metres).astype(np.uint16)
        numbers[:9] = 0
        save(numbers, tmp_path / "labels/depth" / f"{name(number)}.png")
    project = tmp_path / "project"
    done("init", project, "--images", tmp_path / "images", "--task", "depth")
    said = refused(project, "import", project, tmp_path / "labels")
    assert "The label is 480x640, its image is 968x1296" in said
    option = 'resample="nearest"'
    assert f"`labelgrid task {project} depth --set '{option}'`" in said

    done("task", project, "depth", "--set", option)
    assert "depth: 2 new" in done("import", project, tmp_path / "labels").out
    rows = ((np.arange(968) + 0.5) * 480 / 968).astype(int)
    columns = ((np.arange(1296) + 0.5) * 640 / 1296).astype(int)
    for number in range(2):
        stored = np.asarray(Image.open(tmp_path / "labels/depth" / f"{name(number)}.png"))
        expected = stored[rows[:, None], columns]
        value, valid = label(project, number, "depth")
        np.testing.assert_array_equal(valid, expected > 0)
        np.testing.assert_allclose(value[valid], expected[valid] / 1000, rtol=1e-6)


def laser(number: int, steps: float) -> Pixels:
    """Every fourth row below the upper third, 30 % of its pixels, in steps of a metre."""
    rng = np.random.default_rng(number)
    numbers = np.rint(steps * scene(number).depth).astype(np.uint16)
    measured = np.zeros(SIZE, np.bool_)
    rows = np.arange(82, SIZE[0], 4)
    measured[rows] = rng.random((len(rows), SIZE[1])) < 0.3
    return np.where(measured, numbers, 0).astype(np.uint16)


def test_the_scale_of_laser_maps_in_steps_of_a_256th_of_a_metre_is_named_and_taken(
    tmp_path: Path,
) -> None:
    images = photographs(tmp_path, 16)
    for number in range(8):
        millimetres = laser(number, 1000)
        save(millimetres, tmp_path / "earlier/depth" / f"{name(number)}.png")
    for number in range(8, 16):
        save(laser(number, 256), tmp_path / "laser/depth" / f"{name(number)}.png")
    project = tmp_path / "project"
    done("init", project, "--images", images, "--task", "depth")
    assert "5 % of pixels measured" in done("import", project, tmp_path / "earlier").out
    doubted = typed("import", project, tmp_path / "laser")
    assert doubted.code == 1
    assert 'm with `scale = "1/256"`' in doubted.err
    assert cells(project, "labelled") == {(f"{name(number)}.jpg", "depth") for number in range(8)}

    other = tmp_path / "other"
    done("init", other, "--images", images, "--task", "depth:scale=1/256")
    assert "depth: 8 new" in done("import", other, tmp_path / "laser").out
    for number in range(8, 16):
        value, valid = label(other, number, "depth")
        stored = laser(number, 256)
        np.testing.assert_array_equal(valid, stored > 0)
        np.testing.assert_allclose(value[valid], stored[valid] / 256, rtol=1e-6)


def test_saliency_as_jpeg_is_refused_and_comes_in_as_png_with_the_named_threshold(
    tmp_path: Path,
) -> None:
    images = photographs(tmp_path, 3)
    for number in range(3):
        stored = (255 * scene(number).saliency).astype(np.uint8)
        path = tmp_path / "jpg/saliency" / f"{name(number)}.jpg"
        save(stored, path, quality=90)
        save(np.asarray(Image.open(path)), tmp_path / "png/saliency" / f"{name(number)}.png")
    project = tmp_path / "project"
    done("init", project, "--images", images, "--task", "saliency")
    said = refused(project, "import", project, tmp_path / "jpg")
    assert "JPEG changes the numbers of pixels: get the label as PNG." in said
    assert "`threshold = 128`" in said
    assert "`threshold = 128`" in refused(project, "import", project, tmp_path / "png")

    done("task", project, "saliency", "--set", "threshold=128")
    assert "saliency: 3 new" in done("import", project, tmp_path / "png").out
    for number in range(3):
        value, valid = label(project, number, "saliency")
        assert valid.all()
        np.testing.assert_array_equal(value > 0, scene(number).saliency)


@pytest.mark.parametrize("orientation", [1, 6])
def test_labels_turned_by_90_degrees_are_refused_and_an_orientation_that_explains_it_is_named(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number in range(2):
        room = scene(number)
        stored = np.rot90(room.image) if orientation == 6 else room.image
        save(stored, tmp_path / "images" / f"{name(number)}.jpg", quality=92, exif=exif)
        turned = np.rot90(room.semseg)
        save(turned, tmp_path / "turned/semseg" / f"{name(number)}.png")
        save(room.semseg, tmp_path / "upright/semseg" / f"{name(number)}.png")
    (tmp_path / "classes.txt").write_text("wall\nfloor\nbox\nball\n")
    project = tmp_path / "project"
    task = f"semseg:{tmp_path / 'classes.txt'}"
    done("init", project, "--images", tmp_path / "images", "--task", task)
    said = refused(project, "import", project, tmp_path / "turned")
    assert "The label is 320x240, its image is 240x320 (height x width)." in said
    named = "declares EXIF orientation 6, and the label may lie in the stored orientation" in said
    assert named == (orientation == 6)
    assert "semseg: 2 new" in done("import", project, tmp_path / "upright").out
