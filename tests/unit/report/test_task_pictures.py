"""Laws of a report's pictures: predictions beside photographs and labels, labels over photographs, with legends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.imports.import_labels import import_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.heldout_examples import EXAMPLES, HeldoutExample, write_examples
from labelgrid.report.task_pictures import OVERLAID, overlays_of, predictions_of
from tests.campaigns import make_project
from tests.support import Made
from tests.unit.report.reading import measured

TASKS = ("semseg", "depth")
NETWORK = measured(1, 20.0, 1.5)


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    return made(n=6, tasks=TASKS, size=(16, 24))


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    splits = dict.fromkeys(data.names[-2:], "heldout")
    with make_project(tmp_path / "project", data, splits) as project:
        import_labels(project, data.labels)
        yield project


def predict(project: ProjectFolder, data: Made, *, model: str = "m1", task: str = "semseg") -> Path:
    """Leave a prediction of a held-out image as a fit does; it is the label of another image."""
    folder = project.round_folder(1) / EXAMPLES
    path = folder / task / "worst.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.label(data.names[0], task).read_bytes())
    example = HeldoutExample(
        task=task,
        image_id=data.names[-1],
        place="worst",
        value=7.25,
        file=f"{task}/worst.png",
        model=model,
    )
    write_examples(folder, [example])
    return path


def pixels(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_a_worst_image_that_is_better_than_all_together_is_explained(project, data) -> None:
    predict(project, data)  # mIoU 7.25 % on it alone
    (shown,) = predictions_of(project, measured(1, 4.5, 1.5))
    assert shown.note.startswith(
        "4 images together: mIoU 4.5 %. Even the worst image alone is better, since this is no mean "
        "of images: it is computed from the pixels of all, and where classes are averaged, from "
        "every class"
    )


def test_a_prediction_stands_beside_its_photograph_and_label(project, data) -> None:
    predict(project, data)
    (shown,) = predictions_of(project, NETWORK)
    (row,) = shown.rows
    assert shown.task == "semseg"
    assert row.text == f"worst of 4 images: {data.names[-1]}, mIoU 7.25 % on it alone"
    assert shown.note == "4 images together: mIoU 20 %."
    assert list(row.pictures) == ["photograph", "label", "prediction"]
    photograph, label, prediction = map(pixels, row.pictures.values())
    assert photograph.shape == label.shape == prediction.shape == (16, 24, 3)
    assert np.abs(label.astype(int) - prediction).max() > 50  # those of two images
    assert {name for _, name in shown.legend.swatches} <= {"wall", "floor", "box", "ball"}
    assert all(len(colour) == 7 and colour[0] == "#" for colour, _ in shown.legend.swatches)


def test_distances_have_a_scale_with_ends(project, data) -> None:
    predict(project, data, task="depth")
    (shown,) = predictions_of(project, NETWORK)
    assert shown.legend.scale and shown.legend.scale[1:4] == b"PNG"
    assert shown.legend.ends[0].startswith("near: ") and shown.legend.ends[1].startswith("far: ")


def test_predictions_of_another_model_or_round_are_not_shown(project, data) -> None:
    assert predictions_of(project, NETWORK) == []
    predict(project, data, model="older")
    assert predictions_of(project, NETWORK) == []
    predict(project, data)
    assert predictions_of(project, replace(NETWORK, round=2)) == []


def test_what_is_gone_is_left_out(project, data) -> None:
    path = predict(project, data)
    path.unlink()
    assert predictions_of(project, NETWORK) == []
    predict(project, data)
    (data.images / data.names[-1]).unlink()
    assert predictions_of(project, NETWORK) == []


def test_labels_lie_over_a_few_training_photographs_of_each_task(project, data) -> None:
    semseg, depth = overlays_of(project)
    assert (semseg.task, depth.task) == TASKS
    (row,) = semseg.rows
    assert len(row.pictures) == OVERLAID and set(row.pictures) <= set(data.names[:4])
    assert list(row.pictures) == list(depth.rows[0].pictures)
    for image_id, jpeg in row.pictures.items():
        photograph = cv2.imread(str(data.images / image_id))
        assert pixels(jpeg).shape == photograph.shape
        assert np.abs(pixels(jpeg).astype(int) - photograph).mean() > 5
    assert semseg.legend.swatches and depth.legend.scale


def test_photographs_with_more_labels_are_preferred(data, tmp_path) -> None:
    with make_project(tmp_path / "other", data) as project:
        assert overlays_of(project) == []
        for name in data.names[1:]:
            data.label(name, "depth").unlink()
        import_labels(project, data.labels)
        semseg, depth = overlays_of(project)
    assert list(depth.rows[0].pictures) == [data.names[0]]
    assert next(iter(semseg.rows[0].pictures)) == data.names[0]


def test_a_photograph_that_is_gone_is_left_out_of_the_overlays(project, data) -> None:
    shown = list(overlays_of(project)[0].rows[0].pictures)
    (data.images / shown[0]).unlink()
    assert list(overlays_of(project)[0].rows[0].pictures) == shown[1:]
    for name in shown[1:]:
        (data.images / name).unlink()
    assert overlays_of(project) == []
