"""Laws of the folder source: which file is whose label, and what is refused because it could be two things."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import ImageError, LabelError, RecipeError
from labelgrid.basics.plugins import names, resolve
from labelgrid.data.layouts import folder
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.sources import ImageFiles
from labelgrid.tasks.task import TaskDef, definitions


def test_images_of_any_size_and_labels_are_found_in_sub_folders(made):
    data = made(n=4, size=[(30, 40), (40, 30)], group=2)
    source, tasks = folder.build(data.root), definitions(data.rows)
    assert (
        tuple(source.images())
        == data.names
        == ("room_00/0000.jpg", "room_00/0001.jpg", "room_01/0002.jpg", "room_01/0003.jpg")
    )
    for name in data.names:
        size = source.image(name).shape[:2]
        assert all(source.label(name, task).size == size for task in tasks.values())
    assert {source.image(name).shape for name in data.names} == {(30, 40, 3), (40, 30, 3)}


def test_a_label_that_is_not_there_is_missing(made):
    data = made(n=2, tasks=("depth",))
    source, tasks = folder.build(data.root), definitions(data.rows)
    data.label(data.names[0], "depth").unlink()
    assert source.label(data.names[0], tasks["depth"]) is None
    assert source.label(data.names[1], tasks["depth"]) is not None
    shutil.rmtree(data.labels)
    assert source.label(data.names[1], tasks["depth"]) is None


def test_the_images_extension_may_be_kept_and_any_extension_of_the_format_counts(made):
    data = made(n=1, tasks=("depth",))
    source, task = folder.build(data.root), definitions(data.rows)["depth"]
    expected = source.label("0000.jpg", task)
    data.label("0000.jpg", "depth").rename(data.labels / "depth" / "0000.jpg.png")
    assert (source.label("0000.jpg", task).value == expected.value).all()
    (data.labels / "depth" / "0000.jpg.png").unlink()
    task.write(data.labels / "depth" / "0000.npy", expected)
    assert (source.label("0000.jpg", task).value == expected.value).all()


def test_two_files_for_one_label_are_refused(made):
    data = made(n=1, tasks=("depth",))
    source, task = folder.build(data.root), definitions(data.rows)["depth"]
    shutil.copy(data.label("0000.jpg", "depth"), data.labels / "depth" / "0000.jpg.png")
    with pytest.raises(
        LabelError, match=r"Two files could be the depth label of image '0000.jpg': '0000.jpg.png'"
    ):
        source.label("0000.jpg", task)


def test_one_file_for_two_images_is_refused_and_their_full_names_are_not(made):
    data = made(n=1, tasks=("depth",))
    shutil.copy(data.images / "0000.jpg", data.images / "0000.jpeg")
    source, task = folder.build(data.root), definitions(data.rows)["depth"]
    with pytest.raises(LabelError, match=r"Several images are called '0000'.*\n.*'0000.jpeg.png'"):
        source.label("0000.jpeg", task)
    data.label("0000.jpg", "depth").rename(data.labels / "depth" / "0000.jpg.png")
    assert source.label("0000.jpg", task) is not None
    assert source.label("0000.jpeg", task) is None


def test_two_images_of_one_name_in_different_folders_have_labels_of_their_own(made):
    data = made(n=2, tasks=("depth",), group=1)
    for file, place in ((data.images, "0001.jpg"), (data.labels / "depth", "0001.png")):
        (file / "room_01" / place).rename(file / "room_01" / place.replace("1", "0"))
    source, task = folder.build(data.root), definitions(data.rows)["depth"]
    first, second = (source.label(f"room_0{i}/0000.jpg", task).value for i in range(2))
    assert not np.array_equal(first, second)


def test_splits_are_the_lists_in_splits(made):
    data = made(n=4, tasks=("depth",))
    source = folder.build(data.root)
    assert source.splits() == {}
    (data.root / "splits").mkdir()
    (data.root / "splits" / "train.txt").write_text("0002.jpg\n0000.jpg\n")
    assert source.splits() == {"train": ["0002.jpg", "0000.jpg"]}
    (data.root / "splits" / "val.txt").write_text("0009.jpg\n")
    with pytest.raises(
        ImageError, match=r"1 image .* not exist, the first is '0009.jpg'.*\n  Get the images, or "
    ):
        source.splits()


def test_a_root_without_images_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no such folder"):
        folder.build(tmp_path)


def test_the_folders_can_have_other_names(made):
    data = made(n=1, tasks=("depth",))
    source = folder.build(data.images, images=".", labels="../labels")
    assert source.label("0000.jpg", definitions(data.rows)["depth"]) is not None


def test_every_layout_is_a_plugin():
    files = {path.stem for path in Path(folder.__file__).parent.glob("[!_]*.py")}
    assert set(names("layouts")) == files and "folder" in names("layouts")
    assert resolve("layouts", "folder") is folder.build


def test_the_camera_is_that_of_camera_toml_and_unknown_without_one(made):
    data = made(n=1, tasks=("depth",))
    assert folder.build(data.root).camera("0000.jpg", (30, 40)) is None
    (data.root / "camera.toml").write_text("field_of_view = 90.0\n")
    camera = folder.build(data.root).camera("0000.jpg", (30, 40))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((20, 20, 19.5, 14.5))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("field_of_view = 180.0", "between 0 and 180"),
        ("fov = 66.0", "field_of_view"),
        ("66", "TOML"),
    ],
)
def test_a_wrong_camera_toml_is_refused(made, text, fault):
    data = made(n=1, tasks=("depth",))
    (data.root / "camera.toml").write_text(text)
    with pytest.raises(RecipeError, match=fault):
        folder.build(data.root)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "it is a pipe or a device, not a file"),
        (lambda path: path.symlink_to("missing.toml"), "The file does not exist"),
    ],
    ids=["folder", "pipe", "link to nothing"],
)
def test_a_camera_toml_that_is_no_file_is_refused(made, make, fault):
    data = made(n=1, tasks=("depth",))
    make(data.root / "camera.toml")
    with pytest.raises(RecipeError, match=rf"{fault}.*camera\.toml"):
        folder.build(data.root)


def test_a_label_of_a_sensor_is_brought_to_its_image_s_size_if_that_is_declared(made):
    data = made(n=1, tasks=("depth",), size=(16, 24))
    path = data.label(data.names[0], "depth")
    stored = np.arange(1, 151, dtype=np.uint16).reshape(10, 15)
    Image.fromarray(stored).save(path)
    task = TaskDef.of(TaskRow("depth", "depth", 1.0, {"resample": "nearest"}))
    label = folder.build(data.root).label(data.names[0], task)
    files = ImageFiles.of(data.images, data.labels).label(data.names[0], task)
    for read in (label, files):
        assert read.size == (16, 24)
        assert np.rint(read.value[[0, -1], [0, -1], 0] * 1000).tolist() == [1, 150]
    plain = TaskDef.of(TaskRow("depth", "depth", 1.0))
    with pytest.raises(LabelError, match='declare `resample = "nearest"`'):
        ImageFiles.of(data.images, data.labels).label(data.names[0], plain)
