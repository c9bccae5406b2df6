"""Laws of the maker `onnx` beside those of all makers: which task gets which output, and as what."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.sources import ImageFiles
from labelgrid.suppliers.maker import LabelPlace
from labelgrid.suppliers.makers.onnx import OnnxMaker, Options, build
from labelgrid.tasks.task import TaskDef, TaskDefs, definitions
from tests.models import (
    class_model,
    depth_model,
    description,
    grade_model,
    normals_model,
    write_toml,
)
from tests.real_models import MODELS, needs_models

ROWS = (
    TaskRow("parts", "semseg", 1.0, {"classes": ["wall", "table", "person"]}),
    TaskRow("distance", "depth", 1.0, {"scale": 0.001}),
    TaskRow("normals", "normals", 1.0, {}),
    TaskRow("edges", "edges", 1.0, {}),
    TaskRow("saliency", "saliency", 1.0, {}),
)


@pytest.fixture
def tasks() -> TaskDefs:
    return definitions(ROWS, ())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 32, 3), np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    return tmp_path / "a.png"


def made(maker: OnnxMaker, image: Path, folder: Path) -> dict[str, str]:
    images = ImageFiles(paths={image.name: image})
    return dict(maker.make(images, LabelPlace(folder=folder), Silent()))


def maker_of(path: Path, tasks: TaskDefs, chosen: Any = None, **options: Any) -> OnnxMaker:
    return build(path, tasks, chosen or {}, Options(**options))


def test_a_task_gets_the_output_of_its_name_or_the_only_one_of_its_kind(
    tmp_path: Path, tasks: TaskDefs
) -> None:
    for path, task in (
        (depth_model(tmp_path), "distance"),
        (grade_model(tmp_path, "edges"), "edges"),
        (grade_model(tmp_path, "saliency"), "saliency"),
        (class_model(tmp_path, ["wall", "table"]), "parts"),
        (normals_model(tmp_path), "normals"),
    ):
        assert list(maker_of(path, tasks).files) == [task]


def test_a_person_says_which_output_a_task_gets(tmp_path: Path, tasks: TaskDefs) -> None:
    path = grade_model(tmp_path, "edges")
    assert list(maker_of(path, tasks, {"saliency": "out"}).files) == ["saliency"]
    with pytest.raises(ModelError, match="There is no task 'edge'"):
        maker_of(path, tasks, {"edge": "out"})
    with pytest.raises(ModelError, match=r"It has no output 'edge'.*\n.*Outputs: out"):
        maker_of(path, tasks, {"edges": "edge"})


def test_two_tasks_of_a_kind_are_asked_about(tmp_path: Path) -> None:
    rows = [TaskRow(name, "depth", 1.0, {}) for name in ("near", "far")]
    with pytest.raises(ModelError, match=r"or more than one.*\n.*--task TASK=out"):
        maker_of(depth_model(tmp_path), definitions(rows, ()))


def test_depth_has_to_say_what_its_numbers_are_in_the_file_or_beside_it(
    tmp_path: Path, tasks: TaskDefs
) -> None:
    values = description("depth.onnx", "depth", output={"meaning": "relative, larger is nearer"})
    del values["output"]["up_to"]
    depth_model(tmp_path)
    path = write_toml(tmp_path / "depth.toml", values)
    with pytest.raises(ModelError, match=r"relative, larger is nearer") as refused:
        maker_of(path, tasks)
    assert "--set up_to=scale-shift" in refused.value.next_step
    declared = maker_of(path, tasks, up_to="scale-shift", larger_is_nearer=True).declared
    assert (declared["up_to"], declared["larger_is_nearer"]) == ("scale-shift", True)


def test_depth_up_to_a_shift_keeps_its_shape_where_its_numbers_are_below_zero(
    tmp_path: Path, tasks: TaskDefs, image: Path
) -> None:
    path = depth_model(tmp_path, factor=-9.0)
    task = tasks["distance"]
    plain = maker_of(path, tasks)
    assert list(made(plain, image, tmp_path / "plain")) in ([], ["a.png"])
    shifted = maker_of(path, tasks, up_to="scale-shift")
    assert not made(shifted, image, tmp_path / "shifted")
    label = task.read(tmp_path / "shifted/distance/a.npy")
    assert label.valid.all()
    pixels = cv2.imread(str(image)).astype(np.float64)
    expected = pixels.mean(axis=2) / 255 * -9 + 1
    difference = label.value[..., 0] - expected
    assert np.ptp(difference) < 1e-4


def test_the_files_are_read_back_as_what_was_computed(
    tmp_path: Path, tasks: TaskDefs, image: Path
) -> None:
    pixels = cv2.imread(str(image))[..., ::-1] / 255.0
    assert not made(maker_of(depth_model(tmp_path), tasks), image, tmp_path / "out")
    depth = tasks["distance"].read(tmp_path / "out/distance/a.npy").value[..., 0]
    assert np.abs(depth - pixels.mean(axis=2) * 4 - 1).max() < 1e-5
    assert not made(maker_of(normals_model(tmp_path), tasks), image, tmp_path / "out")
    normals = tasks["normals"].read(tmp_path / "out/normals/a.npy").value
    expected = pixels - 0.5 + [0, 0, 1.5]
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    assert np.abs(normals - expected).max() < 1e-5
    assert not made(maker_of(grade_model(tmp_path), tasks), image, tmp_path / "out")
    grades = cv2.imread(str(tmp_path / "out/edges/a.png"), cv2.IMREAD_UNCHANGED)
    assert np.abs(grades - pixels.mean(axis=2) * 255).max() <= 0.51


def test_normals_in_other_axes_are_turned_into_those_of_the_task(
    tmp_path: Path, image: Path
) -> None:
    axes = "x right, y down, z away from the camera"
    rows = [TaskRow("normals", "normals", 1.0, {"axes": axes})]
    (task,) = definitions(rows, ()).values()
    path = normals_model(tmp_path)
    assert not made(maker_of(path, {"normals": task}), image, tmp_path / "out")
    assert (np.load(tmp_path / "out/normals/a.npy")[..., 2] < 0).all()
    assert (task.read(tmp_path / "out/normals/a.npy").value[..., 2] > 0).all()


def test_classes_come_with_their_confidence_and_the_names_that_nobody_knows(
    tmp_path: Path, tasks: TaskDefs, image: Path
) -> None:
    names = ["Wall", "zebra", "dining_table", "person"]
    maker = maker_of(class_model(tmp_path, names), tasks)
    assert not made(maker, image, tmp_path / "out")
    assert maker.declared["classes"] == {"parts": names}
    assert maker.declared["map"] == {"zebra": "ignore", "dining_table": "ignore"}
    numbers = cv2.imread(str(tmp_path / "out/parts/a.png"), cv2.IMREAD_UNCHANGED)
    confidence = cv2.imread(str(tmp_path / "out/parts.confidence/a.png"), cv2.IMREAD_UNCHANGED)
    assert numbers.max() < 4 and confidence.shape == numbers.shape
    assert confidence.min() >= 255 // 4 and confidence.max() > 128


def test_settings_and_revision_change_with_all_that_labels_depend_on(
    tmp_path: Path, tasks: TaskDefs
) -> None:
    def identity(path: Path, **options: Any) -> tuple[str, str]:
        declared = maker_of(path, tasks, **options).declared
        return declared["revision"], str(declared["settings"])

    path = depth_model(tmp_path / "a")
    first = identity(path)
    assert identity(path, seconds=5, memory=3.0) == first
    moved = {
        identity(depth_model(tmp_path / "b", factor=2.0)),
        identity(path, up_to="scale"),
        identity(depth_model(tmp_path / "c", input={"mean": [1.0, 0.0, 0.0]})),
        identity(depth_model(tmp_path / "d", resize={"rule": "multiples of 8"})),
    }
    assert len(moved) == 4 and first not in moved
    assert identity(depth_model(tmp_path / "e", output={"meaning": "in other words"})) == first


def test_a_task_without_such_labels_is_refused(tmp_path: Path) -> None:
    (task,) = definitions([TaskRow("depth", "depth", 1.0, {"stride": 4})], ()).values()
    assert isinstance(task, TaskDef)
    with pytest.raises(ModelError, match="not made from a model's numbers"):
        maker_of(depth_model(tmp_path), {"depth": task})


@needs_models
@pytest.mark.parametrize(
    ("name", "task", "options"),
    [
        ("depth", "distance", {"up_to": "scale-shift", "larger_is_nearer": True}),
        ("edges", "edges", {}),
        ("saliency", "saliency", {}),
        ("classes", "parts", {}),
    ],
)
def test_a_real_network_computes_as_a_loop_of_onnx_runtime_does(
    name: str, task: str, options: Any, tmp_path: Path, tasks: TaskDefs
) -> None:
    """The peer is written by the words of the given description, apart from the code."""
    import onnxruntime

    frames = MODELS.parent / "nyuv2/images"
    (path,) = MODELS.glob(f"{name}-*.toml")
    maker = maker_of(path, tasks, **options)
    sizes = {"depth": (192, 320), "edges": None, "saliency": (224, 224), "classes": (385, 513)}
    session = onnxruntime.InferenceSession(str(path.with_suffix(".onnx")))
    for image in sorted(frames.iterdir())[:2] if frames.is_dir() else ():
        assert not made(maker, image, tmp_path / "out")
        pixels = cv2.imread(str(image))[..., ::-1]
        size = sizes[name]
        if size:
            pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
        tensor = pixels.astype(np.float64)
        if name in ("edges", "saliency"):
            tensor = (tensor / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        if name == "classes":
            tensor = (tensor - 128) / 128
        tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1)[None], np.float32)
        (output,) = session.run(None, {session.get_inputs()[0].name: tensor})
        maps = [cv2.resize(one, (320, 240), interpolation=cv2.INTER_LINEAR) for one in output[0]]
        file = tmp_path / "out" / task / image.stem
        if name == "depth":
            assert np.abs(np.load(f"{file}.npy") * 0.001 - maps[0]).max() < 1e-4
        elif name == "classes":
            numbers = cv2.imread(f"{file}.png", cv2.IMREAD_UNCHANGED)
            assert (numbers == np.argmax(maps, axis=0)).mean() > 0.9999
        else:
            grades = cv2.imread(f"{file}.png", cv2.IMREAD_UNCHANGED)
            assert np.abs(grades - maps[0] * 255).max() < 0.6
