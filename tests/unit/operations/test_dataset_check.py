"""What is said of a data set, with labels that are missing, empty and damaged."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from labelgrid.basics import plugins
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.data.layouts import folder
from labelgrid.formats.naming import label_name
from labelgrid.operations.dataset_check import Contents, layout_faults, read_contents, tasks_of
from tests import published
from tests.support import Made, make_dataset

COVERS = ["labelgrid.evidence.dataset_remarks"]
TABLES = """
[semseg]
classes = ["a", "b", "c", "d"]
[depth]
[edges]
[normals]
"""


LAYOUTS = [
    ("nyud", published.nyud),
    ("pascal", published.pascal),
    ("mtan_npy", published.mtan_nyuv2),
    ("mtan_npy", published.mtan_cityscapes),
    ("cityscapes", published.cityscapes),
]


def write(made: Made, number: int, task: str, pixels: np.ndarray) -> Path:
    path = made.label(made.names[number], task)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Four images of two sizes without any label."""
    made = make_dataset(tmp_path / "data", n=4, size=[(4, 6), (4, 8)], tasks=())
    (made.root / "tasks.toml").write_text(TABLES)
    return made


def check(made: Made, **options: object) -> Contents:
    source = folder.build(made.root)
    return read_contents(
        source,
        tasks_of(source, made.root, None),
        image_ids=source.images(),
        layout=["text"],
        progress=Silent(),
        **options,
    )


def test_counts_shares_and_ranges_are_those_of_the_files(made: Made) -> None:
    classes = np.array([[0, 0, 1, 1, 1, 1]] * 3 + [[255] * 6], np.uint8)
    write(made, 0, "semseg", classes)
    write(made, 1, "semseg", np.full((4, 8), 3, np.uint8))
    depth = np.full((4, 6), 1500, np.uint16)
    depth[0], depth[1] = 0, 500
    write(made, 0, "depth", depth)
    write(made, 2, "depth", np.zeros((4, 6), np.uint16))
    edges = np.zeros((4, 6), np.uint8)
    edges[0] = 255
    write(made, 2, "edges", edges)
    write(made, 3, "normals", np.full((4, 8, 3), (255, 128, 128), np.uint8))  # BGR
    found = check(made)
    assert found.tasks["normals"].values == "0.003922 to 1"
    semseg, depth_, edges_ = (found.tasks[name] for name in ("semseg", "depth", "edges"))
    assert found.faults == [] and found.layout == ["text"] and (found.images, found.read) == (4, 4)
    assert found.sizes == {"4x6": 2, "4x8": 2}
    assert (semseg.labels, semseg.empty, semseg.missing, semseg.damaged) == (2, 0, 2, 0)
    assert semseg.valid == (18 + 32) / 56
    assert semseg.classes == {"a": 6 / 50, "b": 12 / 50, "c": 0, "d": 32 / 50}
    assert semseg.values == "3 of 4 classes, not c" and semseg.lowest is None
    assert (depth_.labels, depth_.empty, depth_.missing) == (1, 1, 2)
    assert depth_.mean == pytest.approx((6 * 0.5 + 12 * 1.5) / 18)
    assert depth_.values == "0.5 to 1.5, mean 1.17" and depth_.valid == 0.75 and not depth_.classes
    assert edges_.values == "0 to 1, mean 0.25" and edges_.missing == 3


def test_wrong_images_and_labels_are_listed_and_the_others_still_read(made: Made) -> None:
    write(made, 0, "edges", np.full((4, 6), 255, np.uint8))
    write(made, 1, "edges", np.full((4, 6), 255, np.uint8))  # the image is 4x8
    damaged = write(made, 2, "edges", np.full((4, 6), 255, np.uint8))
    damaged.write_bytes(damaged.read_bytes()[:30])
    (made.images / made.names[3]).write_bytes(b"no image")
    found = check(made)
    edges = found.tasks["edges"]
    assert (edges.labels, edges.damaged, edges.missing) == (1, 2, 1)
    texts = list(map(str, found.faults))
    assert (
        len(texts) == 3
        and "The label is 4x6, its image is 4x8" in texts[0]
        and made.names[1] in texts[0]
    )
    assert (
        found.faults[0].where == str(made.label(made.names[1], "edges"))
        and found.faults[0].next_step
    )
    assert str(damaged) in texts[1] and str(made.images / made.names[3]) in texts[2]
    assert sum(found.sizes.values()) == 3


def test_no_label_at_all_has_no_values(made: Made) -> None:
    one = check(made).tasks["semseg"]
    assert (one.labels, one.missing, one.valid, one.values) == (0, 4, 0.0, "–")


def test_a_split_of_other_images_is_a_fault(made: Made) -> None:
    (made.root / "splits").mkdir()
    (made.root / "splits/train.txt").write_text("gone.jpg\n")
    found = check(made)
    assert found.splits == {} and "does not exist" in str(found.faults[0])


@pytest.mark.parametrize(("layout", "write"), LAYOUTS)
def test_a_label_of_another_size_than_its_image_is_named_in_every_layout(
    tmp_path: Path, layout: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    source = plugins.create("layouts", layout, tmp_path)
    tasks = tasks_of(source, tmp_path, None)
    image_id = source.images()[0]
    image = source.image(image_id)[:-1]

    class Cut(type(source)):  # type: ignore[misc]
        def image(self, _: str) -> np.ndarray:
            return image

    cut = Cut(**vars(source))
    found = read_contents(cut, tasks, image_ids=[image_id], layout=[], progress=Silent())
    assert len(found.faults) == len(tasks)
    said = f"its image is {published.SIZE[0] - 1}x{published.SIZE[1]}"
    for fault in found.faults:
        assert Path(fault.where).is_file() and said in fault.what and fault.next_step


def test_an_image_in_two_splits_is_a_fault_that_names_both_lists(made: Made) -> None:
    (made.root / "splits").mkdir()
    for split, names in {
        "train": made.names[:3],
        "val": made.names[2:],
        "trainval": made.names,
    }.items():
        (made.root / f"splits/{split}.txt").write_text("\n".join(names))
    found = check(made)
    (fault,) = found.faults
    assert (
        fault.what == f"1 image is in both splits, train and val, the first is '{made.names[2]}'."
    )
    assert (
        fault.where == f"{made.root / 'splits/train.txt'}, {made.root / 'splits/val.txt'}"
        and fault.next_step
    )
    assert found.splits == {"train": 3, "trainval": 4, "val": 2}
    (made.root / "splits/train.txt").write_text("\n".join(made.names[:2]))
    assert not check(made).faults
    (made.root / "splits/val.txt").write_text(made.names[0])
    assert "are in both splits" in str(check(made).faults[0]) or "is in both splits" in str(
        check(made).faults[0]
    )


def test_depth_in_millimetres_is_a_remark(made: Made) -> None:
    for number, metres in enumerate((2.0, 2000.0)):
        path = made.label(made.names[number], "depth").with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((4, 6 + 2 * number), metres, np.float32))
    found = check(made)
    assert not found.faults
    assert [text for text in found.remarks if text.startswith("depth")] == [
        f"depth: the median depth is 2000 m in '{made.names[1]}'; 0.05 to 200 m is usual. So in 1 of 2 labels. "
        "Check the unit of the files."
    ]


def test_advice_is_on_the_file_of_tasks(made: Made) -> None:
    write(
        made, 0, "normals", np.full((4, 6, 3), (0, 128, 128), np.uint8)
    )  # BGR: away from the camera
    write(made, 1, "edges", np.eye(4, 8, dtype=np.uint8))
    write(made, 2, "semseg", np.diag(np.full(6, 9, np.uint8))[:4])
    advice = {fault.cell.task: fault.next_step for fault in check(made).faults if fault.cell}
    assert '`axes = "x right, y down, z away from the camera"`' in advice["normals"]
    assert "`one_is_positive = true`" in advice["edges"]
    assert "`classes`" in advice["semseg"] and "`ignore = [9]`" in advice["semseg"]
    for text in advice.values():
        assert "labelgrid task" not in text and text.endswith(
            "the task's table of the file that --tasks names."
        )


def test_tasks_are_those_of_the_file_or_the_data_set_s_own(made: Made, tmp_path: Path) -> None:
    source = folder.build(made.root)
    assert list(tasks_of(source, made.root, None)) == ["semseg", "depth", "edges", "normals"]
    (tmp_path / "own.toml").write_text("[normals]\n")
    assert list(tasks_of(source, made.root, tmp_path / "own.toml")) == ["normals"]
    (made.root / "tasks.toml").unlink()
    with pytest.raises(ProjectError, match="does not say which tasks"):
        tasks_of(source, made.root, None)
    assert layout_faults("folder", made.root) == []


def test_labels_of_some_classes_alone_are_remarked_on(made: Made) -> None:
    for number in range(3):
        path = write(
            made,
            number,
            "semseg",
            np.eye(*((4, 6) if number % 2 == 0 else (4, 8))).astype(np.uint8),
        )
        if number < 2:
            text = PngInfo()
            text.add_text("annotated", "a\nb")
            Image.open(path).save(path, pnginfo=text)
    assert (
        "semseg: in 2 of 3 labels only some of the classes were annotated." in check(made).remarks
    )


def test_labels_that_say_nothing_are_remarked_on(made: Made) -> None:
    for number in range(3):
        write(made, number, "depth", np.zeros((4, 6 if number % 2 == 0 else 8), np.uint16))
        write(made, number, "edges", np.zeros((4, 6 if number % 2 == 0 else 8), np.uint8))
        write(made, number, "semseg", np.full((4, 6 if number % 2 == 0 else 8), 2, np.uint8))
    assert check(made).remarks == [
        "semseg: all valid pixels of the labels that were read are of one class.",
        "depth: no image that was read has a label with a valid pixel.",
        "edges: all valid pixels of the labels that were read are 0.",
        "normals: no image that was read has a label with a valid pixel.",
    ]
    write(made, 1, "edges", np.eye(4, 8).astype(np.uint8) * 255)
    write(made, 1, "semseg", np.eye(4, 8).astype(np.uint8))
    assert [text.partition(":")[0] for text in check(made).remarks] == ["depth", "normals"]


def test_a_label_of_an_image_with_a_long_name_is_its_label(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=1, size=[(4, 6)], tasks=("depth",))
    long = "x" * 251 + ".png"
    cv2.imwrite(str(made.images / long), np.zeros((4, 6, 3), np.uint8))
    (made.root / "tasks.toml").write_text("[depth]\n")
    source = folder.build(made.root)
    (task,) = tasks_of(source, made.root, None).values()
    path = made.root / "labels/depth" / label_name(long, ".tiff", whole=False)
    path.write_bytes(made.label(made.names[0], "depth").read_bytes())
    assert source.label_file(long, task) == path and layout_faults("folder", made.root) == []


def test_labels_of_no_image_are_named(made: Made) -> None:
    write(made, 0, "depth", np.ones((4, 6), np.uint16))
    assert layout_faults("folder", made.root) == []
    stray = made.root / "labels/Depth/a/99.png"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    for name in (".hidden.png", "Thumbs.db"):
        (stray.parent / name).write_bytes(b"")
    assert layout_faults("folder", made.root) == [
        "1 label of Depth has no image, the first is a/99.png.",
    ]


def test_normals_in_other_axes_are_remarked_on(made: Made) -> None:
    for turn, odd in ((1, []), (-1, ["the mean y (up)"])):
        for number in range(4):
            size = (4, 6 if number % 2 == 0 else 8)
            vector = np.array([0.1, 0.6 * turn, 0.79]) / np.linalg.norm([0.1, 0.6, 0.79])
            write(
                made,
                number,
                "normals",
                np.rint((np.full((*size, 3), vector[::-1]) + 1) * 127.5).astype(np.uint8),
            )
        said = [text for text in check(made).remarks if "other axes" in text]
        assert [text.removeprefix("normals: ").partition(" is")[0] for text in said] == odd
    write(made, 2, "normals", np.full((4, 6, 3), (228, 200, 128), np.uint8))
    write(made, 3, "normals", np.full((4, 8, 3), (228, 200, 128), np.uint8))
    assert not any(
        "Check the axes" in text for text in check(made).remarks
    )  # half of them is not the median


def test_what_shows_over_many_labels_is_remarked_on(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=8, size=(32, 40), tasks=())
    (made.root / "tasks.toml").write_text(TABLES)
    rows, columns = np.indices((32, 40))
    for largest, said in ((9000, 0), (1500, 1)):
        for number in range(8):
            ramp = 900 + 13 * number + 7 * rows + 17 * columns
            write(made, number, "depth", np.minimum(ramp, largest).astype(np.uint16))
        found = [text for text in check(made).remarks if "look cut off at 1.5" in text]
        assert len(found) == said
