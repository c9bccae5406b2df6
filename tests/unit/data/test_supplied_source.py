"""Labels of suppliers, as a training reads them."""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.data.data_options import SupplierChoice
from labelgrid.data.supplied_source import MostTrusted, SuppliedFile, SuppliedLabels
from labelgrid.formats.arrays import save_png
from labelgrid.formats.codec import LabelArray, UpTo
from labelgrid.formats.confidence import as_bytes
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import definitions

CLASSES = {"classes": ["wall", "floor", "lamp"]}
TASKS = definitions([TaskRow("depth", "depth", 1.0), TaskRow("semseg", "semseg", 1.0, CLASSES)])
SIZE = (4, 6)


def stored(folder: Path, task: str, value: np.ndarray) -> SuppliedFile:
    """The file of a label, as an import keeps it."""
    path = folder / f"label{'.npy' if task == 'depth' else '.png'}"
    TASKS[task].write(path, LabelArray(value, np.ones(SIZE, np.bool_)))
    return SuppliedFile(path, digest(path))


def test_the_label_is_read_as_the_task_declares(tmp_path: Path) -> None:
    value = np.random.default_rng(1).uniform(1, 9, (*SIZE, 1)).astype(np.float32)
    labels = SuppliedLabels(supplier="s", trust=0.5, files={"a": stored(tmp_path, "depth", value)})
    found = labels.label("a", TASKS["depth"])
    assert found is not None
    np.testing.assert_array_equal(found.value, value)
    assert labels.label("b", TASKS["depth"]) is None


def test_inverse_depth_is_depth_in_metres(tmp_path: Path) -> None:
    value = np.tile(np.float32([[8], [4], [2], [1], [8], [4]]), (4, 1, 1))
    files = {"a": stored(tmp_path, "depth", value)}
    labels = SuppliedLabels(supplier="s", trust=0.5, files=files, inverted=True)
    found = labels.label("a", TASKS["depth"])
    assert found is not None
    np.testing.assert_allclose(found.value[0, :, 0], [0.125, 0.25, 0.5, 1, 0.125, 0.25])


def test_a_map_that_is_true_up_to_a_scale_stays_in_its_own_numbers(tmp_path: Path) -> None:
    value = np.tile(np.float32([[8], [4], [2], [1], [8], [4]]), (4, 1, 1))
    up_to = UpTo(shift=True, inverse=True, spread=1.5, least=0.2)
    files = {"a": stored(tmp_path, "depth", value)}
    labels = SuppliedLabels(supplier="s", trust=0.5, files=files, inverted=True, up_to=up_to)
    found = labels.label("a", TASKS["depth"])
    assert found is not None and found.unsure
    assert found.up_to == up_to
    np.testing.assert_array_equal(found.value, value)


def test_a_confidence_is_read_beside_the_label(tmp_path: Path) -> None:
    confidence = np.random.default_rng(2).uniform(0, 1, SIZE).astype(np.float32)
    save_png(tmp_path / "sure.png", as_bytes(confidence))
    file = stored(tmp_path, "depth", np.ones((*SIZE, 1), np.float32))
    sure = (tmp_path / "sure.png", digest(tmp_path / "sure.png"))
    labels = SuppliedLabels(supplier="s", trust=0.5, files={"a": file._replace(confidence=sure)})
    found = labels.label("a", TASKS["depth"])
    assert found is not None and found.unsure
    np.testing.assert_allclose(found.confidence, confidence, atol=0.5 / 255 + 1e-6)
    (tmp_path / "sure.png").write_bytes(b"other")
    with pytest.raises(LabelError, match="has changed"):
        labels.label("a", TASKS["depth"])


def test_classes_that_were_added_later_are_not_annotated(tmp_path: Path) -> None:
    file = stored(tmp_path, "semseg", np.zeros((*SIZE, 1), np.int64))
    labels = SuppliedLabels(supplier="s", trust=0.5, files={"a": file._replace(classes=2)})
    found = labels.label("a", TASKS["semseg"])
    assert found is not None and found.annotated is not None
    assert found.annotated.tolist() == [True, True, False]


def test_pixels_of_no_confidence_are_not_valid(tmp_path: Path) -> None:
    confidence = np.ones(SIZE, np.float32)
    confidence[:2] = 0
    save_png(tmp_path / "sure.png", as_bytes(confidence))
    file = stored(tmp_path, "depth", np.ones((*SIZE, 1), np.float32))
    sure = (tmp_path / "sure.png", digest(tmp_path / "sure.png"))
    labels = SuppliedLabels(supplier="s", trust=0.5, files={"a": file._replace(confidence=sure)})
    found = labels.label("a", TASKS["depth"])
    assert found is not None
    np.testing.assert_array_equal(found.valid, confidence > 0)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    file = stored(tmp_path, "depth", np.ones((*SIZE, 1), np.float32))
    labels = SuppliedLabels(supplier="s", trust=0.5, files={"a": file._replace(digest="0" * 32)})
    with pytest.raises(LabelError, match="has changed"):
        labels.label("a", TASKS["depth"])


def test_the_most_trusted_label_of_a_cell_without_a_true_one_is_read(tmp_path: Path) -> None:
    values = {0.2: ("a", "b"), 0.7: ("a", "c")}
    several = []
    for trust, images in values.items():
        folder = tmp_path / str(trust)
        folder.mkdir()
        file = stored(folder, "depth", np.full((*SIZE, 1), trust, np.float32))
        files = dict.fromkeys(images, file)
        several.append(SuppliedLabels(supplier=str(trust), trust=trust, files=files))
    most = MostTrusted({"depth": several}, TASKS, {"c": {"depth"}, "b": {"semseg"}})
    found = {image_id: most.labels(image_id).get("depth") for image_id in "abcd"}
    assert found["a"] and found["a"].value[0, 0, 0] == np.float32(0.7)
    assert found["b"] and found["b"].value[0, 0, 0] == np.float32(0.2)
    assert found["c"] is None and found["d"] is None


@pytest.mark.parametrize("trust", [{"trust": 1.5}, {"tasks": {"depth": -0.1}}])
def test_a_trust_lies_between_0_and_1(trust: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="trust lies between 0 and 1"):
        SupplierChoice(**trust)  # type: ignore[arg-type]
