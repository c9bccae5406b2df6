"""Laws of the NYUD_MT source, on a made copy of the layout and on the real frames where they are."""

import shutil

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.data.layouts import nyud
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef, definitions
from tests.support import CLASSES, make_scene, task_rows

SIZE = (24, 32)
TASKS = definitions(task_rows(("semseg", "depth", "normals", "edges", "saliency")))


def make_nyud(root, npy: bool):
    """Two frames in the layout, labels as .npy where the layout allows it, or all as .png."""
    for folder in ("images", "segmentation", "depth", "normals", "edge", "gt_sets"):
        (root / folder).mkdir(parents=True)
    scenes = {}
    for i, name in enumerate(("0003", "1449")):
        scene = scenes[name] = make_scene(np.random.default_rng(i), SIZE)
        cv2.imwrite(str(root / "images" / f"{name}.jpg"), scene.image[..., ::-1])
        segmentation = scene.semseg + 1
        segmentation[:2] = 0
        cv2.imwrite(str(root / "segmentation" / f"{name}.png"), segmentation)
        if npy:
            np.save(root / "depth" / f"{name}.npy", scene.depth.astype(np.float32))
            np.save(root / "normals" / f"{name}.npy", scene.normals.astype(np.float32))
            np.save(root / "edge" / f"{name}.npy", scene.edges.astype(np.float32))
        else:
            cv2.imwrite(
                str(root / "depth" / f"{name}.png"), np.rint(scene.depth * 1000).astype(np.uint16)
            )
            stored = np.rint((scene.normals + 1) * 127.5).astype(np.uint8)
            cv2.imwrite(str(root / "normals" / f"{name}.png"), stored[..., ::-1])
            cv2.imwrite(
                str(root / "edge" / f"{name}.png"), scene.edges.astype(np.uint8) * np.uint8(255)
            )
    (root / "gt_sets" / "train.txt").write_text("1449\n")
    (root / "gt_sets" / "val.txt").write_text("0003\n")
    return scenes


@pytest.mark.parametrize("npy", [True, False])
def test_every_kind_is_read_from_its_folder_in_either_form(tmp_path, npy):
    scenes = make_nyud(tmp_path, npy)
    source = nyud.build(tmp_path)
    assert nyud.check(tmp_path) == []
    assert source.images() == ["0003.jpg", "1449.jpg"]
    assert source.image("0003.jpg").shape == (*SIZE, 3)
    for name, scene in scenes.items():
        labels = {
            task: source.label(f"{name}.jpg", TASKS[task])
            for task in ("semseg", "depth", "normals", "edges")
        }
        assert (labels["semseg"].valid == (np.arange(SIZE[0]) >= 2)[:, None]).all()
        assert (labels["semseg"].value[2:, :, 0] == scene.semseg[2:]).all()
        assert np.abs(labels["depth"].value[..., 0] - scene.depth).max() < 6e-4
        assert np.abs(labels["normals"].value - scene.normals).max() < 0.01
        assert (labels["edges"].value[..., 0] == scene.edges).all()


def test_splits_are_the_lists_in_gt_sets(tmp_path):
    make_nyud(tmp_path, npy=False)
    source = nyud.build(tmp_path)
    assert source.splits() == {"train": ["1449.jpg"], "val": ["0003.jpg"]}
    (tmp_path / "gt_sets" / "val.txt").write_text("0004\n")
    with pytest.raises(ImageError, match="the first is '0004'"):
        source.splits()


def test_a_kind_the_data_set_does_not_have_is_missing(tmp_path):
    make_nyud(tmp_path, npy=False)
    assert nyud.build(tmp_path).label("0003.jpg", TASKS["saliency"]) is None


def test_a_second_task_of_a_kind_reads_the_same_folder(tmp_path):
    make_nyud(tmp_path, npy=False)
    other = TaskDef.of(TaskRow("things", "semseg", 1.0, {"classes": list(CLASSES)}))
    assert nyud.build(tmp_path).label("0003.jpg", other) is not None


def test_a_missing_label_is_missing_and_two_files_for_one_are_refused(tmp_path):
    make_nyud(tmp_path, npy=False)
    source = nyud.build(tmp_path)
    np.save(tmp_path / "depth" / "0003.npy", np.ones(SIZE))
    with pytest.raises(LabelError, match=r"Both '0003.png' and '0003.npy' exist"):
        source.label("0003.jpg", TASKS["depth"])
    for suffix in (".png", ".npy"):
        (tmp_path / "depth" / f"0003{suffix}").unlink()
    assert source.label("0003.jpg", TASKS["depth"]) is None
    assert nyud.check(tmp_path) == ["1 of 2 images have no depth, the first is 0003."]


def test_disparity_is_not_what_the_data_set_holds(tmp_path):
    make_nyud(tmp_path, npy=False)
    task = TaskDef.of(TaskRow("depth", "depth", 1.0, {"disparity": True}))
    with pytest.raises(LabelError, match="holds depth in metres; the task 'depth' is disparity"):
        nyud.build(tmp_path).label("0003.jpg", task)


def test_an_edge_npy_of_other_numbers_is_refused(tmp_path):
    make_nyud(tmp_path, npy=True)
    np.save(tmp_path / "edge" / "0003.npy", np.full(SIZE, 0.5))
    with pytest.raises(LabelError, match="0 and 1 only"):
        nyud.build(tmp_path).label("0003.jpg", TASKS["edges"])


def test_the_axes_of_the_normals_are_those_of_the_task(tmp_path):
    make_nyud(tmp_path, npy=True)
    source = nyud.build(tmp_path)
    plain = source.label("0003.jpg", TASKS["normals"]).value
    axes = {"axes": "x right, y down, z toward the camera"}
    turned = source.label("0003.jpg", TaskDef.of(TaskRow("normals", "normals", 1.0, axes)))
    assert np.allclose(turned.value, plain * np.array([1, -1, 1]))


def test_two_files_of_one_label_do_not_end_the_check_of_the_layout(tmp_path):
    make_nyud(tmp_path, npy=True)
    shutil.copy(tmp_path / "segmentation" / "0003.png", tmp_path / "edge" / "0003.png")
    assert all("Both" not in fault for fault in nyud.check(tmp_path))
    with pytest.raises(LabelError, match=r"Both '0003\.png' and '0003\.npy' exist"):
        nyud.build(tmp_path).label("0003.jpg", TaskDef.of(TaskRow("edges", "edges", 1.0)))


def test_a_class_number_too_many_is_named_with_the_classes_of_the_layout(tmp_path):
    make_nyud(tmp_path, npy=True)
    path = tmp_path / "segmentation" / "0003.png"
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    stored[3, 3] = 41
    cv2.imwrite(str(path), stored)
    forty = TaskDef.of(TaskRow("semseg", "semseg", 1.0, dict(nyud.TASKS["semseg"])))
    words = (
        "holds the class numbers 41; the task 'semseg' has 40 classes, 1 to 40; not labelled: 0 "
    )
    with pytest.raises(LabelError, match=words) as caught:
        nyud.build(tmp_path).label("0003.jpg", forty)
    assert caught.value.where == str(path) and "Correct the file" in caught.value.next_step


def test_255_is_no_number_of_the_layout(tmp_path):
    make_nyud(
        tmp_path, npy=False
    )  # written from 0, with 255 for pixels without a class, each class is one too low
    path = tmp_path / "segmentation" / "0003.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) - 1)
    forty = TaskDef.of(TaskRow("semseg", "semseg", 1.0, dict(nyud.TASKS["semseg"])))
    with pytest.raises(
        LabelError, match=r"(?s)class numbers 255; .*0 is not labelled, and 1 the first class"
    ):
        nyud.build(tmp_path).label("0003.jpg", forty)


def test_lists_that_are_missing_and_images_in_no_list_are_named(tmp_path):
    make_nyud(tmp_path, npy=False)
    (tmp_path / "gt_sets" / "val.txt").write_text(
        "\ufeff0003\n", encoding="utf-8"
    )  # as some editors save it
    assert nyud.check(tmp_path) == [] and nyud.build(tmp_path).splits()["val"] == ["0003.jpg"]
    cv2.imwrite(str(tmp_path / "depth" / "stray.png"), np.ones(SIZE, np.uint16))
    assert nyud.check(tmp_path) == ["1 label of depth has no image, the first is stray."]
    (tmp_path / "depth" / "stray.png").unlink()
    (tmp_path / "gt_sets" / "val.txt").rename(
        tmp_path / "gt_sets" / "test.txt"
    )  # as recipes for two cores have them
    assert nyud.check(tmp_path) == []
    (tmp_path / "gt_sets" / "test.txt").unlink()
    assert nyud.check(tmp_path) == [
        "There is no list gt_sets/val.txt.",
        "1 of 2 images have no place in a list, the first is 0003.",
    ]
    (tmp_path / "gt_sets" / "val.txt").write_text("0003", encoding="utf-16")
    with pytest.raises(ImageError, match=r"(?s)cannot be read.*Save it as UTF-8 text"):
        nyud.build(tmp_path).splits()


def test_what_a_task_cannot_change_is_not_advised(tmp_path):
    make_nyud(tmp_path, npy=True)
    np.save(tmp_path / "depth" / "0003.npy", np.ones(SIZE, np.uint8))
    (tmp_path / "edge" / "0003.npy").unlink()
    cv2.imwrite(str(tmp_path / "edge" / "0003.png"), np.eye(*SIZE, dtype=np.uint8))
    for task, advice in (("depth", "Write metres as .npy"), ("edges", "Write 0 and 255")):
        with pytest.raises(LabelError) as caught:
            nyud.build(tmp_path).label("0003.jpg", TASKS[task])
        assert caught.value.next_step.startswith(advice)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "names no images"),
        ("0003\n1449\n0003\n", "1 image is listed more than once, the first is '0003'"),
    ],
)
def test_an_empty_split_and_an_image_listed_twice_are_refused(tmp_path, text, fault):
    make_nyud(tmp_path, npy=False)
    (tmp_path / "gt_sets" / "val.txt").write_text(text)
    with pytest.raises(ImageError, match=fault) as caught:
        nyud.build(tmp_path).splits()
    assert caught.value.where == str(tmp_path / "gt_sets" / "val.txt") and caught.value.next_step
    (sentence,) = nyud.check(tmp_path)
    assert fault in sentence and "val.txt" in sentence


@pytest.mark.nyuv2
def test_the_real_frames_are_read_as_they_are(nyuv2):
    assert nyud.check(nyuv2) == []
    source = nyud.build(nyuv2)
    assert {split: len(names) for split, names in source.splits().items()} == {
        "train": 565,
        "val": 74,
        "test": 156,
    }
    classes = (nyuv2 / "classes40.txt").read_text().split("\n")
    rows = [
        TaskRow("semseg", "semseg", 1.0, {"classes": [name for name in classes if name]}),
        *task_rows(("depth", "normals", "edges")),
    ]
    for name in source.images()[::100]:
        assert source.image(name).shape == (240, 320, 3)
        labels = {task.name: source.label(name, task) for task in definitions(rows).values()}
        assert all(label.size == (240, 320) for label in labels.values())
        assert labels["semseg"].value[labels["semseg"].valid].min() >= 0
        assert labels["semseg"].value[labels["semseg"].valid].max() < 40
        assert labels["depth"].value[labels["depth"].valid].min() > 0.3
        assert labels["depth"].value.max() <= 10
        assert 0 < labels["edges"].value.mean() < 0.3


@pytest.mark.nyuv2
def test_real_floors_point_up(nyuv2):
    source, tasks = nyud.build(nyuv2), definitions(task_rows(("normals",)))
    floor = 2  # of classes40.txt, less the 0 of not labelled
    task = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": [str(i) for i in range(40)]}))
    ups = []
    for name in source.images()[::25]:
        semseg, normals = source.label(name, task), source.label(name, tasks["normals"])
        shown = semseg.valid & normals.valid & (semseg.value[..., 0] == floor - 1)
        ups += [normals.value[shown][:, 1].mean()] if shown.sum() > 1000 else []
    assert len(ups) > 5
    assert np.median(ups) > 0.8


def test_the_camera_is_the_toolbox_s_with_pixels_from_0_and_is_resized_with_the_frame(tmp_path):
    make_nyud(tmp_path, npy=False)
    source = nyud.build(tmp_path)
    camera = source.camera("0003.jpg", (480, 640))
    assert (camera.fx, camera.cx) == (518.857901, 324.582449)
    half = source.camera("0003.jpg", (240, 320))
    assert (half.fy, half.cy) == pytest.approx((519.469611 / 2, (252.736166 - 0.5) / 2))
    assert source.camera("0003.jpg", (425, 560)) is None  # a crop, of unknown place
