"""Maps for further networks: scaled predictions, drawn classes with the gradient of the soft ones, neutral pixels."""

import pytest
import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.inputs import label_maps, prediction_maps

COVERS = ["labelgrid.tasks.scale"]
TASKS = build_all(
    definitions(
        [
            TaskRow("semseg", "semseg", 1.0, {"classes": ["a", "b", "c"]}),
            *(TaskRow(name, name, 1.0) for name in ("depth", "normals", "saliency", "edges")),
        ]
    )
)


@pytest.mark.parametrize(
    ("name", "raw", "wanted"),
    [
        ("depth", [1.0, 4.0], [0.25, 1.0]),
        ("saliency", [0.0, 100.0], [0.5, 1.0]),
        ("edges", [0.0, -100.0], [0.5, 0.0]),
        ("normals", [[3.0, 0.0], [0.0, 0.0], [4.0, -2.0]], [[0.8, 0.5], [0.5, 0.5], [0.9, 0.0]]),
        ("semseg", [[1.0, 0.0], [2.0, 5.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
    ],
)
def test_predictions_are_scaled(name, raw, wanted):
    raw = torch.tensor(raw).view(1, TASKS[name].channels, 1, 2).requires_grad_()
    found = prediction_maps(TASKS[name], raw, None)
    torch.testing.assert_close(found.flatten(), torch.tensor(wanted).flatten())
    found.square().sum().backward()
    assert torch.isfinite(raw.grad).all()


def test_classes_are_drawn_by_their_probabilities_with_the_gradient_of_the_soft_sample():
    raw = (
        torch.tensor([1.0, 0.0, -1.0])
        .view(1, 3, 1, 1)
        .expand(1, 3, 100, 200)
        .clone()
        .requires_grad_()
    )
    found = prediction_maps(TASKS["semseg"], raw, [torch.Generator().manual_seed(0)])
    assert torch.equal(found.detach().round(), found.detach()) and bool((found.sum(1) == 1).all())
    shares = found.detach().mean((0, 2, 3))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.0, -1.0]).softmax(0), atol=0.01, rtol=0)
    found[:, 0].sum().backward()
    noise = -torch.empty(raw.shape).exponential_(generator=torch.Generator().manual_seed(0)).log()
    soft = (raw.detach() + noise).requires_grad_()
    soft.softmax(1)[:, 0].sum().backward()
    torch.testing.assert_close(raw.grad, soft.grad)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("depth", [float("nan"), 4.0], [0.0, 1.0]),
        ("saliency", [float("nan"), 1.0], [0.5, 1.0]),
        (
            "normals",
            [[float("nan"), 1.0], [0.0, 0.0], [1.0, 0.0]],
            [[0.5, 1.0], [0.5, 0.5], [0.5, 0.5]],
        ),
        ("semseg", [255, 2], [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_labels_are_scaled_and_neutral_where_they_are_not_valid(name, value, wanted):
    values = torch.tensor(value).view(1, TASKS[name].label_channels, 1, 2)
    found = label_maps(TASKS[name], Target(values, torch.tensor([[[[False, True]]]])))
    torch.testing.assert_close(found.flatten(), torch.tensor(wanted).flatten())
    nothing = label_maps(TASKS[name], Target(values, torch.tensor([[[[False, False]]]])))
    assert torch.isfinite(nothing).all() and nothing.unique().tolist() == [
        TASKS[name].scale.neutral
    ]


@pytest.mark.parametrize("name", ["depth", "normals", "saliency", "edges", "semseg"])
def test_a_prediction_that_is_neutral_where_a_label_is_missing_has_the_maps_of_that_label(name):
    task, generator = TASKS[name], torch.Generator().manual_seed(0)
    raw = 3 * torch.randn(2, task.channels, 4, 5, generator=generator)
    target = task.to_target(task.activate(raw).abs() if name == "depth" else task.activate(raw))
    value, valid = target.value, torch.rand(2, 1, 4, 5, generator=generator) < 0.7
    raw = {"depth": value, "saliency": 200 * (value - 0.5), "edges": 200 * (value - 0.5)}.get(
        name, raw
    )
    raw = torch.where(valid, raw, 50.0).requires_grad_()
    found = prediction_maps(task, raw, None, valid)
    torch.testing.assert_close(found, label_maps(task, Target(value, valid)))
    found.square().sum().backward()
    assert not raw.grad[~valid.expand_as(raw)].any()


def test_a_disparity_grows_with_a_zoom_and_a_depth_falls():
    depth, disparity = (
        definitions([TaskRow("depth", "depth", 1.0, {"disparity": flag})])["depth"].build()
        for flag in (False, True)
    )
    value, zoom = torch.full((2, 1, 1, 1), 6.0), torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    assert depth.scale.zoomed(value, zoom).flatten().tolist() == [6.0, 3.0]
    assert disparity.scale.zoomed(value, zoom).flatten().tolist() == [6.0, 12.0]
    assert TASKS["normals"].scale.zoomed(value, zoom) is value
