"""PASCAL_MT, on made copies of the layout; the expected values are written out here."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from labelgrid.basics.errors import EmptyLabelError, ImageError, LabelError, RecipeError
from labelgrid.data.layouts import pascal
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.thinning import thin
from labelgrid.project.task_spec import task_rows_of
from labelgrid.tasks.task import TaskDef, definitions

COVERS = ["labelgrid.data.matlab", "labelgrid.data.id_splits"]
TASKS = definitions(task_rows_of(pascal.TASKS, Path()))
SIZE = (6, 8)
#: PASCAL-Context's numbers of wall, sky and tvmonitor.
WALL, SKY, TV = 440, 360, 427


def struct(**fields: Any) -> np.ndarray:
    one = np.zeros((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        one[0, 0][name] = value
    return one


def part(name: str, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = 1
    return struct(part_name=name, mask=mask)


def thing(number: int, *parts: np.ndarray) -> np.ndarray:
    """An object of PASCAL-Part, of a class."""
    return struct(
        **{"class": "x", "class_ind": number, "mask": np.ones(SIZE, np.uint8)},
        parts=np.concatenate(parts, axis=1) if parts else np.zeros((0, 0)),
    )


def make(root: Path, *objects: np.ndarray) -> pascal.Pascal:
    """Two images; the first has labels of every task."""
    for folder in (
        "JPEGImages",
        "human_parts",
        "semseg/VOC12",
        "semseg/pascal-context",
        pascal.CONTEXT,
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("normals_distill", "sal_distill", pascal.Pascal.SPLITS):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("2008_000003", "2010_000001", "not_listed"):
        cv2.imwrite(str(root / f"JPEGImages/{name}.jpg"), np.zeros((*SIZE, 3), np.uint8))
    (root / pascal.Pascal.SPLITS / "train.txt").write_text("2010_000001\n")
    (root / pascal.Pascal.SPLITS / "val.txt").write_text("2008_000003\n")
    objects = objects or (thing(15, part("head", slice(0, 2), slice(0, 4))),)
    anno = struct(imname="2010_000001", objects=np.concatenate(objects, axis=1))
    savemat(root / "human_parts/2010_000001.mat", {"anno": anno}, do_compression=True)
    context = np.full(SIZE, WALL, np.uint16)
    context[:, 4:] = SKY
    savemat(root / pascal.CONTEXT / "2010_000001.mat", {"LabelMap": context}, do_compression=True)
    seg = np.zeros(SIZE, np.uint8)
    seg[0], seg[1] = 255, 20
    Image.fromarray(seg).save(root / "semseg/VOC12/2010_000001.png")
    Image.fromarray(seg * 0 + 3).save(root / "semseg/pascal-context/2010_000001.png")
    Image.fromarray(seg * 0 + 4).save(root / "semseg/pascal-context/2008_000003.png")
    vectors = np.full((*SIZE, 3), (128, 128, 255), np.uint8)
    vectors[0], vectors[1] = (127, 128, 127), (128, 255, 128)
    Image.fromarray(vectors).save(root / "normals_distill/2010_000001.png")
    ramp = np.zeros(SIZE, np.uint8)
    ramp[:, 1], ramp[:, 2], ramp[:, 3] = 127, 128, 255
    Image.fromarray(ramp).save(root / "sal_distill/2010_000001.png")
    return pascal.build(root)


def label(source: pascal.Pascal, task: str, name: str = "2010_000001") -> LabelArray:
    found = source.label(f"{name}.jpg", TASKS[task])
    assert found is not None
    return found


def test_images_are_those_that_a_split_lists(tmp_path: Path) -> None:
    source = make(tmp_path)
    assert source.images() == ["2008_000003.jpg", "2010_000001.jpg"]
    assert source.splits() == {"train": ["2010_000001.jpg"], "val": ["2008_000003.jpg"]}
    assert source.image("2010_000001.jpg").shape == (*SIZE, 3)


def test_segmentation_is_from_voc12_where_there_is_such_a_file(tmp_path: Path) -> None:
    source = make(tmp_path)
    own, other = label(source, "semseg"), label(source, "semseg", "2008_000003")
    assert own.valid[:, 0].tolist() == [False, True, True, True, True, True]
    assert (
        own.value[1:, 0, 0].tolist() == [20, 0, 0, 0, 0]
        and (other.value == 4).all()
        and other.valid.all()
    )


def test_parts_of_all_people_are_six_classes(tmp_path: Path) -> None:
    rows = [slice(row, row + 1) for row in range(6)]
    everything = slice(None)
    first = thing(
        15,
        *(
            part(name, rows[0], slice(i, i + 1))
            for i, name in enumerate(("hair", "lear", "rebrow", "mouth", "nose"))
        ),
        *(part(name, rows[1], slice(i, i + 1)) for i, name in enumerate(("neck", "torso"))),
        *(
            part(name, rows[2], slice(i, i + 1))
            for i, name in enumerate(("luarm", "ruarm", "llarm", "rhand"))
        ),
    )
    legs = ("luleg", "ruleg", "llleg", "rlleg", "lfoot", "rfoot")
    second = thing(15, *(part(name, rows[3], slice(i, i + 1)) for i, name in enumerate(legs)))
    horse = thing(13, part("muzzle", everything, everything))
    found = label(make(tmp_path, first, horse, second, thing(15)), "parts")
    assert found.valid.all() and found.value.dtype == np.int64
    assert found.value[:4, :, 0].tolist() == [
        [1, 1, 1, 1, 1, 0, 0, 0],
        [2, 2, 0, 0, 0, 0, 0, 0],
        [3, 3, 4, 4, 0, 0, 0, 0],
        [5, 5, 6, 6, 6, 6, 0, 0],
    ]
    assert not found.value[4:].any()


@pytest.mark.parametrize("objects", [[thing(13, part("muzzle", slice(1), slice(1)))], [thing(15)]])
def test_an_image_without_parts_of_people_has_an_empty_label(
    tmp_path: Path, objects: list[np.ndarray]
) -> None:
    with pytest.raises(
        EmptyLabelError, match=r"(?s)no person in the image has parts.*2010_000001\.mat"
    ):
        label(make(tmp_path, *objects), "parts")


def test_edges_are_between_classes_and_thin(tmp_path: Path) -> None:
    found = label(make(tmp_path), "edges")
    assert found.valid.all()
    assert found.value[1:-1].sum(1).tolist() == [[1.0]] * 4  # two pixels wide before thinning
    assert set(found.value[..., 0].nonzero()[1].tolist()) <= {3, 4}


def test_normals_count_where_nyuv2_has_the_class(tmp_path: Path) -> None:
    source = make(tmp_path)
    found = label(source, "normals")
    assert not found.valid[:, 4:].any()  # sky
    assert found.valid[:, 0].tolist() == [
        False,
        True,
        True,
        True,
        True,
        True,
    ]  # the first row is grey
    np.testing.assert_allclose(found.value[2, 0], (0.0039, 0.0039, 1), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found.value[found.valid], axis=-1), 1, atol=1e-6)
    assert TV in pascal.INDOOR and WALL in pascal.INDOOR and SKY not in pascal.INDOOR
    turned = source.label("2010_000001.jpg", normals("x right, y down, z toward the camera"))
    assert turned is not None and turned.value[1, 0, 1] == -found.value[1, 0, 1] < 0


def normals(axes: str) -> TaskDef:
    return definitions(task_rows_of({"normals": {"axes": axes}}, Path()))["normals"]


def test_normals_that_point_away_are_refused_unless_the_axes_say_so(tmp_path: Path) -> None:
    source = make(tmp_path)
    path = tmp_path / "normals_distill/2010_000001.png"
    Image.fromarray(np.full((*SIZE, 3), (128, 128, 0), np.uint8)).save(path)
    with pytest.raises(
        LabelError, match="100% of the normals point away from the camera"
    ) as caught:
        label(source, "normals")
    assert caught.value.where == str(path)
    turned = source.label("2010_000001.jpg", normals("x right, y up, z away from the camera"))
    assert turned is not None and turned.valid[:, :4].all() and turned.value[0, 0, 2] > 0.99


def test_a_saliency_map_of_zero_and_one_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path)
    (path,) = (tmp_path / "sal_distill").glob("*.png")
    cv2.imwrite(str(path), np.eye(1, 8, dtype=np.uint8))
    with pytest.raises(LabelError, match=r"is 1, where 255 is salient.*\n  Save 0 and 255"):
        label(source, "saliency")


def test_saliency_is_above_half(tmp_path: Path) -> None:
    assert label(make(tmp_path), "saliency").value[0, :, 0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_a_missing_label_is_none_and_check_says_how_many(tmp_path: Path) -> None:
    source = make(tmp_path)
    assert source.label("2008_000003.jpg", TASKS["parts"]) is None
    assert (
        source.label("2008_000003.jpg", definitions(task_rows_of({"depth": {}}, Path()))["depth"])
        is None
    )
    assert pascal.check(tmp_path) == [
        f"1 of 2 images have no {what}, the first is 2008_000003."
        for what in ("parts", "edges", "normals", "saliency")
    ]
    (tmp_path / pascal.Pascal.SPLITS / "val.txt").write_text("2008_000003 gone")
    assert "1 image of the split does not exist, the first is 'gone'." in pascal.check(tmp_path)[0]


def broken(root: Path, file: str, data: bytes) -> Path:
    path = root / file
    path.write_bytes(data)
    return path


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    source = make(tmp_path)
    parts, context = "human_parts/2010_000001.mat", f"{pascal.CONTEXT}/2010_000001.mat"
    whole = (tmp_path / context).read_bytes()
    for data, words in (
        (whole[: len(whole) // 2], "damaged or cut short"),
        (b"", "damaged or cut short"),
        (b"MATLAB 7.3 MAT-file", "Matlab 7.3"),
        (whole, "has no variable 'anno'; it has LabelMap"),
    ):
        path = broken(tmp_path, parts, data)
        with pytest.raises(LabelError, match=words) as refusal:
            label(source, "parts")
        assert str(path) in str(refusal.value)
    savemat(tmp_path / context, {"LabelMap": np.zeros(SIZE)})
    with pytest.raises(LabelError, match="LabelMap holds whole numbers; this one is 6x8 float64"):
        label(source, "edges")
    savemat(tmp_path / context, {"LabelMap": np.full((3, 8), WALL, np.uint16)})
    with pytest.raises(LabelError, match="The normals are 6x8, their LabelMap 3x8"):
        label(source, "normals")
    savemat(tmp_path / parts, {"anno": struct(imname="x")})
    with pytest.raises(LabelError, match="does not follow PASCAL-Part"):
        label(source, "parts")
    make(tmp_path, thing(15, part("wing", slice(1), slice(1))))
    with pytest.raises(
        LabelError, match="a person has the part 'wing'; the parts are hair, head"
    ) as caught:
        label(source, "parts")
    assert caught.value.where == str(tmp_path / parts) and "remove it" in caught.value.next_step
    small = struct(part_name="torso", mask=np.ones((2, 3), np.uint8))
    make(tmp_path, thing(15, part("head", slice(1), slice(1)), small))
    with pytest.raises(
        LabelError, match="the mask of the part 'torso' is 2x3, that of a person 6x8"
    ) as caught:
        label(source, "parts")
    assert caught.value.where == str(tmp_path / parts)
    (tmp_path / context).unlink()
    with pytest.raises(LabelError, match="need the classes of PASCAL-Context") as caught:
        label(source, "normals")
    assert str(tmp_path / context) in caught.value.what and "Get it again" in caught.value.next_step


def test_a_wrong_number_of_classes_and_wrong_dtypes_are_refused(tmp_path: Path) -> None:
    source = make(tmp_path)
    five = definitions(task_rows_of({"semseg": {"classes": list("abcde")}}, Path()))["semseg"]
    with pytest.raises(
        RecipeError, match="21 classes of objects and 7 of parts of people; the task 'semseg' has 5"
    ):
        source.label("2010_000001.jpg", five)
    Image.fromarray(np.full(SIZE, 21, np.uint8)).save(tmp_path / "semseg/VOC12/2010_000001.png")
    with pytest.raises(
        LabelError, match="holds the class numbers 21; the task 'semseg' has 21 classes, 0 to 20"
    ):
        label(source, "semseg")
    for task, file in (("saliency", "sal_distill"), ("normals", "normals_distill")):
        cv2.imwrite(str(tmp_path / file / "2010_000001.png"), np.zeros(SIZE, np.uint16))
        with pytest.raises(LabelError, match="8"):
            label(source, task)


def test_no_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        pascal.build(tmp_path)


def test_files_too_large_or_too_deeply_nested_are_refused_before_scipy_reads_them(
    tmp_path: Path,
) -> None:
    source = make(tmp_path)
    parts, deep = tmp_path / "human_parts/2010_000001.mat", np.ones((1, 1))
    for _ in range(40):
        outer = np.empty((1, 1), object)
        outer[0, 0] = deep
        deep = outer
    savemat(parts, {"anno": deep}, do_compression=True)
    with pytest.raises(LabelError, match="nested more than 16 deep"):
        label(source, "parts")
    savemat(parts, {"anno": {"mask": np.zeros((30_000, 10_000), np.uint8)}}, do_compression=True)
    assert parts.stat().st_size < 10**6
    with pytest.raises(LabelError, match=r"more than 268435456 bytes, decompressed"):
        label(source, "parts")


@pytest.mark.parametrize("mask", [np.zeros((*SIZE, 3)), np.full(SIZE, np.nan), np.zeros((0, 0))])
def test_masks_that_are_none_are_refused(tmp_path: Path, mask: np.ndarray) -> None:
    source = make(tmp_path, thing(15, struct(part_name="head", mask=mask)))
    with pytest.raises(LabelError, match=r"a mask is not \[h, w\] of 0 and 1"):
        label(source, "parts")
    for number in (np.inf, 15.7):
        person = thing(15, part("head", slice(1), slice(1)))
        person[0, 0]["class_ind"] = number
        with pytest.raises(EmptyLabelError):
            label(make(tmp_path, person), "parts")


def test_edges_are_where_the_survey_s_laplacian_is_not_zero_also_at_the_border(
    tmp_path: Path,
) -> None:
    source, rng = make(tmp_path), np.random.default_rng(0)
    path = tmp_path / pascal.CONTEXT / "2010_000001.mat"
    for _ in range(20):
        context = rng.integers(1, 4, SIZE).astype(np.uint16)
        savemat(path, {"LabelMap": context})
        wanted = thin(cv2.Laplacian(context.astype(np.float64), cv2.CV_64F)[None] != 0)[0]
        assert (label(source, "edges").value[..., 0] == wanted).all()
    savemat(path, {"LabelMap": np.zeros((0, 8), np.uint16)})
    with pytest.raises(LabelError, match="LabelMap holds whole numbers; this one is 0x8"):
        label(source, "edges")


def test_lists_and_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / pascal.Pascal.SPLITS / "val.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ImageError, match=r"(?s)The list cannot be read.*val\.txt"):
        pascal.build(tmp_path)
    for path in (tmp_path / pascal.Pascal.SPLITS).iterdir():
        path.write_text("gone")
    with pytest.raises(ImageError, match="No image that a split lists exists"):
        pascal.build(tmp_path)
    shutil.rmtree(tmp_path / pascal.Pascal.SPLITS)
    assert len(pascal.build(tmp_path).images()) == 3
    assert pascal.check(tmp_path)[0] == "There is no folder ImageSets/Context."
    (tmp_path / "JPEGImages/2010_000001.jpeg").write_bytes(
        (tmp_path / "JPEGImages/2010_000001.jpg").read_bytes()
    )
    with pytest.raises(ImageError, match="Two images have one ID"):
        pascal.build(tmp_path)


def test_the_classes_in_another_order_are_refused_and_other_names_are_free(tmp_path: Path) -> None:
    source, own = make(tmp_path), pascal.TASKS["semseg"]["classes"]
    turned, renamed = (
        definitions(task_rows_of({"semseg": {"classes": names}}, Path()))["semseg"]
        for names in (own[::-1], [f"{name} " for name in own])
    )
    with pytest.raises(RecipeError, match=r"(?s)in another order.*background, aeroplane"):
        source.label("2010_000001.jpg", turned)
    assert source.label("2010_000001.jpg", renamed) is not None
