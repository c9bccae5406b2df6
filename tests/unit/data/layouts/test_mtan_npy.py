"""MTAN's arrays of NYUv2 and Cityscapes, on made copies of the layout.

The expected values are written out here.
"""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import ImageError, LabelError, RecipeError
from labelgrid.data.layouts import mtan_npy
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef

THIRTEEN = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": [f"c{i}" for i in range(13)]}))
SEVEN = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": [f"c{i}" for i in range(7)]}))
DEPTH = TaskDef.of(TaskRow("depth", "depth", 1.0))
INVERSE = TaskDef.of(TaskRow("depth", "depth", 1.0, {"disparity": True}))
NORMALS = TaskDef.of(TaskRow("normals", "normals", 1.0))
EDGES = TaskDef.of(TaskRow("edges", "edges", 1.0))


def save(root: Path, name: str, array: np.ndarray) -> None:
    path = root / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def nyuv2(root: Path) -> mtan_npy.MtanArrays:
    """Eleven training images, so that 10 comes after 9, and one of the val split."""
    for index in range(11):
        save(root, f"train/image/{index}", np.full((2, 3, 3), index / 255))
    save(root, "train/label/3", np.array([[-1, 0, 12], [5, -1, 7]], np.float32))
    save(root, "train/depth/3", np.array([[0, 0.5, 9.5], [2, 0, 3]])[..., None])
    vectors = np.array(
        [[[0, 0, 0], [0, 0, 1], [0.6, 0.8, 0]], [[0, -2, 0], [1, -1, 0], [0, 0, 0]]], np.float32
    )
    save(root, "train/normal/3", vectors)
    save(root, "val/image/0", np.zeros((2, 3, 3)))
    return mtan_npy.build(root)


def cityscapes(root: Path) -> mtan_npy.MtanArrays:
    save(root, "train/image/0", np.zeros((2, 3, 3)))
    for classes in (2, 7, 19):
        save(root, f"train/label_{classes}/0", np.full((2, 3), classes - 1))
    save(root, "train/depth/0", np.array([[0, 0.02, 0.4], [0.1, 0, 0.3]])[..., None])
    return mtan_npy.build(root)


def test_images_are_in_the_order_of_their_numbers_and_eight_bits(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    assert source.splits() == {"train": [f"train/{i}" for i in range(11)], "val": ["val/0"]}
    assert source.images() == [*(f"train/{i}" for i in range(11)), "val/0"]
    image = source.image("train/10")
    assert image.dtype == np.uint8 and image.shape == (2, 3, 3) and (image == 10).all()


def test_labels_of_nyuv2_are_as_the_layout_says(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    semseg, depth, normals = (source.label("train/3", task) for task in (THIRTEEN, DEPTH, NORMALS))
    assert semseg is not None and depth is not None and normals is not None
    assert semseg.valid.tolist() == [[False, True, True], [True, False, True]]
    assert (
        semseg.value[semseg.valid].tolist() == [[0], [12], [5], [7]]
        and semseg.value.dtype == np.int64
    )
    assert depth.valid.tolist() == [[False, True, True], [True, False, True]]
    np.testing.assert_allclose(depth.value[depth.valid][:, 0], [0.5, 9.5, 2, 3])
    assert normals.valid.tolist() == [[False, True, True], [True, True, False]]
    half = 0.5**0.5
    wanted = [
        [0, 0, 1],
        [0.6, 0.8, 0],
        [0, -1, 0],
        [half, -half, 0],
    ]  # a sum of 0 does not mean "no normal"
    np.testing.assert_allclose(normals.value[normals.valid], wanted, atol=1e-6)
    assert source.label("train/4", DEPTH) is None and source.label("train/3", EDGES) is None


def test_axes_of_normals_are_those_of_the_task(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    down = TaskDef.of(
        TaskRow("normals", "normals", 1.0, {"axes": "x right, y down, z toward the camera"})
    )
    normals = source.label("train/3", down)
    assert normals is not None
    np.testing.assert_allclose(normals.value[normals.valid][1], [0.6, -0.8, 0], atol=1e-6)


def test_normals_that_point_away_are_refused_unless_the_axes_say_so(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    save(tmp_path, "train/normal/3", np.full((2, 3, 3), (0.0, 0.6, -0.8)))
    with pytest.raises(LabelError, match="100% of the normals point away from the camera"):
        source.label("train/3", NORMALS)
    away = TaskDef.of(
        TaskRow("normals", "normals", 1.0, {"axes": "x right, y up, z away from the camera"})
    )
    normals = source.label("train/3", away)
    assert normals is not None
    np.testing.assert_allclose(normals.value[0, 0], [0, 0.6, 0.8], atol=1e-6)


def test_cityscapes_has_labels_of_each_number_of_classes_and_inverse_depth(tmp_path: Path) -> None:
    source = cityscapes(tmp_path)
    semseg, inverse = source.label("train/0", SEVEN), source.label("train/0", INVERSE)
    assert semseg is not None and (semseg.value == 6).all()
    assert inverse is not None
    np.testing.assert_allclose(inverse.value[inverse.valid][:, 0], [0.02, 0.4, 0.1, 0.3])
    assert source.label("train/0", THIRTEEN) is None
    with pytest.raises(LabelError, match="Declare `disparity = true`"):
        source.label("train/0", DEPTH)
    with pytest.raises(LabelError, match="holds depth in metres"):
        nyuv2(tmp_path / "other").label("train/3", INVERSE)


def test_classes_of_another_number_or_order_are_refused(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    with pytest.raises(
        RecipeError,
        match=r"The layout has 13 classes; the task 'semseg' has 7\.\n  Name all classes of the data set",
    ):
        source.label("train/3", SEVEN)
    own = mtan_npy.NYUV2["semseg"]["classes"]
    turned = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": own[::-1]}))
    with pytest.raises(RecipeError, match=r"in another order.\n.*bed, books"):
        source.label("train/3", turned)


def test_merged_classes_are_one(tmp_path: Path) -> None:
    task = TaskDef.of(
        TaskRow(
            "s", "semseg", 1.0, {"classes": [f"c{i}" for i in range(13)], "merge": {"c12": "c0"}}
        )
    )
    label = nyuv2(tmp_path).label("train/3", task)
    assert label is not None and label.value[label.valid].tolist() == [[0], [0], [5], [7]]


@pytest.mark.parametrize(
    ("name", "array", "fault"),
    [
        (
            "label",
            np.full((2, 3), 13),
            "holds the class numbers 13; the task 'semseg' has 13 classes, 0 to 12",
        ),
        ("label", np.full((2, 3), 0.5), "class numbers 0.5"),
        ("label", np.full((2, 3), np.nan), "class numbers nan"),
        ("label", np.full((2, 3, 3), 1), "one channel"),
        ("label", np.full((2, 3), -1), "none of its 6 pixels is valid"),
        ("normal", np.zeros((2, 3)), "three channels"),
        ("depth", np.zeros((2, 3, 1)), "none of its 6 pixels is valid"),
        ("depth", np.array([["a"]]), "3.npy"),
    ],
)
def test_a_broken_label_is_refused_with_the_files_name(
    tmp_path: Path, name: str, array: np.ndarray, fault: str
) -> None:
    source = nyuv2(tmp_path)
    save(tmp_path, f"train/{name}/3", array)
    task = {"label": THIRTEEN, "normal": NORMALS, "depth": DEPTH}[name]
    with pytest.raises(LabelError, match=fault) as caught:
        source.label("train/3", task)
    assert str(caught.value.where) == str(tmp_path / "train" / name / "3.npy")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    source = nyuv2(tmp_path)
    for folder in ("image", "label"):
        path = tmp_path / "train" / folder / "3.npy"
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(LabelError):
        source.label("train/3", THIRTEEN)
    with pytest.raises(ImageError) as caught:
        source.image("train/3")
    assert str(caught.value.where) == str(tmp_path / "train/image/3.npy")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.full((2, 3, 3), 2.0), np.full((2, 3, 3), np.nan)]
)
def test_an_image_of_another_shape_or_range_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    source = nyuv2(tmp_path)
    save(tmp_path, "train/image/3", array)
    with pytest.raises(ImageError, match=r"0 to 1"):
        source.image("train/3")


def test_no_images_at_all_and_ids_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no images"):
        mtan_npy.build(tmp_path)
    with pytest.raises(ImageError):
        nyuv2(tmp_path).image("train/99")
    with pytest.raises(ImageError, match="not an image of this data set"):
        nyuv2(tmp_path).image("../secret")


def test_the_val_split_alone_is_enough_and_padded_numbers_are_no_images(tmp_path: Path) -> None:
    save(tmp_path, "val/image/0", np.zeros((2, 3, 3)))
    save(tmp_path, "val/image/0001", np.zeros((2, 3, 3)))
    save(tmp_path, "val/label/0", np.full((2, 3), 12))
    source = mtan_npy.build(tmp_path)
    assert source.images() == ["val/0"]
    label = source.label("val/0", THIRTEEN)
    assert label is not None and (label.value == 12).all()


def test_the_check_counts_what_is_missing(tmp_path: Path) -> None:
    nyuv2(tmp_path)
    faults = mtan_npy.check(tmp_path)
    assert "10 of 11 images of train have no depth, the first is 0." in faults
    assert "1 of 1 image of val has no label, the first is 0." in faults
    (tmp_path / "val/depth").mkdir(exist_ok=True)
    np.save(tmp_path / "val/depth/7.npy", np.ones((2, 2, 1)))
    (tmp_path / "train/image/3.npy").unlink()
    faults = mtan_npy.check(tmp_path)
    assert "1 label of depth of val has no image, the first is 7." in faults
    assert "The images of train are not numbered from 0 without a gap: 3 is missing." in faults
    (tmp_path / "val/image/0.npy").unlink()
    assert mtan_npy.check(tmp_path)[0] == "There are no images of val: val/image/0.npy and so on."
