"""The legends of measured labels: a scale with units, or directions; classes have none of these."""

import cv2
import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef
from labelgrid.web.pictures import draw_label
from labelgrid.web.scale_legend import draw_scale, scale_ends, scale_legend, shared_legends


def task_of(kind):
    return TaskDef.of(TaskRow(kind, kind, 1.0))


def label_of(value):
    value = np.asarray(value, np.float32)
    return LabelArray(value, np.ones(value.shape[:2], bool))


def test_the_scale_of_depth_has_its_ends_in_metres_and_the_colours_of_the_picture():
    depth = task_of("depth")
    label = label_of(np.linspace(1, 5, 10_000).reshape(100, 100, 1))
    legend = scale_legend(depth, label)
    near, far = scale_ends(depth, label)
    assert legend.has_scale and not legend.swatches and 1 <= near < far <= 5
    assert all(end.endswith(" m") for end in legend.ends)
    scale = cv2.imdecode(np.frombuffer(draw_scale(depth), np.uint8), cv2.IMREAD_COLOR)
    ends = label_of([[[near], [far]]] * 2)
    drawn = cv2.imdecode(np.frombuffer(draw_label(depth, ends, 10), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(scale[0, [0, -1]].astype(int) - drawn[0].astype(int)).max() < 12


def test_normals_are_named_by_directions():
    legend = scale_legend(task_of("normals"), label_of([[[0, 0, 1.0]]]))
    names = dict(legend.swatches)
    assert {"up", "left", "toward the camera"} <= names.keys() and names["up"].startswith("#")
    assert legend.has_scale and draw_scale(task_of("normals"))


def test_a_label_without_a_measured_pixel_has_no_legend():
    nothing = LabelArray(np.zeros((2, 2, 1), np.float32), np.zeros((2, 2), bool))
    assert scale_legend(task_of("depth"), nothing) is None
    assert draw_label(task_of("depth"), nothing, 10)


@pytest.mark.parametrize("kind", ["edges", "saliency"])
def test_yes_or_no_has_no_scale(kind):
    assert draw_scale(task_of(kind)) is None


def test_colours_that_all_labels_of_a_task_share_are_classes_directions_or_a_scale():
    rooms = TaskDef.of(TaskRow("rooms", "semseg", 1.0, {"classes": ["background", "wall", "tv"]}))
    tasks = [rooms, task_of("depth"), task_of("normals"), task_of("edges"), task_of("saliency")]
    legends = shared_legends(
        {task.name: task for task in tasks}, [task.name for task in tasks[:-1]]
    )
    assert list(legends) == ["rooms", "depth", "normals", "edges"]
    names = {task: [name for name, _ in legend.swatches] for task, legend in legends.items()}
    assert names["rooms"] == ["background", "wall", "tv"] and names["depth"] == []
    assert {"up", "left"} <= set(names["normals"]) and names["edges"] == ["no", "yes"]
    # No number is told of a scale whose ends are each label's own.
    assert legends["depth"].has_scale and not any(map(str.isdigit, "".join(legends["depth"].ends)))
    assert not legends["rooms"].has_scale and not legends["edges"].has_scale
