"""Crop consistency: a network that sees each pixel alone has none.

Which images and tasks it learns from.
"""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.data.loader import train_batch
from labelgrid.nets.network import Features, Network, Output
from labelgrid.testing.trainings import OPTIONS, dataset, trainer
from labelgrid.train.crop_boxes import Box, crop_batch, crop_prediction, draw_boxes
from labelgrid.train.step_draws import Draws
from labelgrid.train.terms.crop import Options, build
from labelgrid.train.trainer import Trainer
from tests.toys import toy_plan

COVERS = ["labelgrid.train.crop_boxes"]


class Pixelwise(Network):
    """Predicts each pixel from that pixel alone, so that the crop of its prediction is the prediction of the crop."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Conv2d(3, 4, 1)
        self.heads = torch.nn.ModuleDict({n: torch.nn.Conv2d(4, c, 1) for n, c in CHANNELS.items()})

    def forward(self, image, known=None):
        shared = self.encoder(image)
        final = {name: head(shared) for name, head in self.heads.items()}
        return Output(
            initial=(), final=final, features=Features(shared, (shared,)), task_features=final
        )


CHANNELS = {"semseg": 4, "depth": 1, "normals": 3}


def step_of(folder, options, network=None):
    training = trainer(dataset(folder), lambda tasks, net: build(tasks, net, options), batch=6)
    plan = training.plan
    if network:
        training.terms.plan = plan = replace(plan, network=network)
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    batch = replace(
        batch,
        targets={
            n: t.where(torch.arange(6) % 3 == i) for i, (n, t) in enumerate(batch.targets.items())
        },
    )
    return plan.terms["it"], training.terms.steps(batch, plan.network(batch.images), {}, 0)["it"]


@pytest.mark.parametrize("zoom", [1.0, 1.3, 2.0])
def test_a_network_that_sees_pixels_alone_has_no_loss(tmp_path, zoom):
    torch.manual_seed(0)
    term, step = step_of(tmp_path, Options(zoom=zoom), Pixelwise())
    torch.testing.assert_close(term.loss(step)["mse"], torch.zeros(6), atol=1e-10, rtol=0)


class Told(Pixelwise):
    """Adds each pixel's known label of depth to the prediction of normals."""

    def forward(self, image, known=None):
        output = super().forward(image)
        told = known["depth"].safe() if known else 0.0
        return replace(output, final={**output.final, "normals": output.final["normals"] + told})


def test_a_crop_is_predicted_given_the_same_known_labels(tmp_path):
    made, options = dataset(tmp_path), Options(zoom=2.0, tasks="all")
    plan = toy_plan(made, replace(OPTIONS, known=0.5, batch=6), network=Told())
    training, found = (
        Trainer(replace(plan, terms={"it": build(plan.tasks, plan.network, options)})),
        [],
    )
    losses = training.terms.losses
    training.terms.losses = lambda steps: found.append(steps["it"]) or losses(steps)
    training.run_epoch(Silent())
    known = found[0].batch.known["depth"].present
    assert known.any() and not known.all()
    given = found[0].views["crop"][0].known
    assert given.keys() == plan.tasks.keys() and torch.equal(given["depth"].present, known)
    mse = training.terms.losses({"it": found[0]})["it.mse"]
    torch.testing.assert_close(mse, torch.zeros(6), atol=1e-9, rtol=0)


def test_a_network_that_sees_more_has_one_and_only_unlabelled_tasks_count(tmp_path):
    term, step = step_of(tmp_path, Options(weight=3.0))
    assert bool((term.loss(step)["mse"] > 0).all())
    gradients = torch.autograd.grad(
        term.loss(step)["mse"].sum(), [step.output.final[n] for n in CHANNELS]
    )
    for column, gradient in enumerate(gradients):
        assert gradient.flatten(1).any(1).tolist() == [i % 3 != column for i in range(6)]
    whole, _ = step_of(tmp_path / "all", Options(tasks="all", weight=3.0))
    gradients = torch.autograd.grad(
        whole.loss(step)["mse"].sum(), [step.output.final[n] for n in CHANNELS]
    )
    assert all(gradient.flatten(1).any(1).all() for gradient in gradients)


def test_an_enlarged_crop_has_the_images_size_and_smaller_depths(tmp_path):
    term, step = step_of(tmp_path, Options(zoom=2.0, resize=True))
    batch, output = step.views["crop"]
    assert (
        batch.images.shape == step.batch.images.shape
        and output.final["depth"].shape == step.output.final["depth"].shape
    )
    assert torch.isfinite(term.loss(step)["mse"]).all()


def test_what_looks_twice_as_large_is_half_as_far_away(tmp_path):
    tasks = trainer(dataset(tmp_path)).plan.tasks
    boxes = [Box(0, 0, 16, 32), Box(0, 0, 32, 64)]  # zooms of 2 and 1
    for name, channels in CHANNELS.items():
        prediction = torch.rand(2, channels, 1, 1).softmax(1).expand(-1, -1, 32, 64)
        prediction = 3 + prediction if name == "depth" else tasks[name].from_mean(prediction)
        zooms = torch.tensor([2.0, 1.0] if name == "depth" else [1.0, 1.0]).view(2, 1, 1, 1)
        found = crop_prediction(tasks[name], prediction, boxes, (32, 64))
        torch.testing.assert_close(found, prediction / zooms, msg=name)


@pytest.mark.parametrize("resize", [False, True])
def test_a_network_that_sees_a_crop_nearer_by_its_zoom_has_no_loss(tmp_path, resize):
    term, step = step_of(tmp_path, Options(zoom=2.0, resize=resize))
    flat = {name: torch.ones_like(raw) for name, raw in step.output.final.items()}
    batch, output = step.views["crop"]
    zoomed = {
        n: torch.ones_like(raw) / (2 if resize and n == "depth" else 1)
        for n, raw in output.final.items()
    }
    views = {"crop": (batch, replace(output, final=zoomed))}
    step = replace(step, output=replace(step.output, final=flat), views=views)
    torch.testing.assert_close(term.loss(step)["mse"], torch.zeros(6), atol=1e-9, rtol=0)


def test_labels_follow_their_crop(tmp_path):
    training = trainer(dataset(tmp_path))
    plan = training.plan
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    boxes = [Box(4 * i % 16, 5 * i, 16, 32) for i in range(6)]
    batch = replace(batch, camera=torch.ones(6, 4))
    found = crop_batch(batch, plan.tasks, boxes, (32, 64))
    assert found.camera is None
    for i, box in enumerate(boxes):
        for name, target in batch.targets.items():
            value = found.targets[name].value[i, :, ::2, ::2]
            wanted = box.cut(target.value[i])
            torch.testing.assert_close(value, wanted / 2 if name == "depth" else wanted)
            assert torch.equal(
                found.targets[name].valid[i, :, 1::2, 1::2], box.cut(target.valid[i])
            )
        assert torch.equal(
            crop_batch(batch, {}, boxes, (16, 32)).images[i], box.cut(batch.images[i])
        )


def test_boxes_are_anywhere_of_all_sizes_and_belong_to_their_image():
    draws = Draws(seed=0, step=3, ids=("a", "b"), pool=(), load=lambda ids, seed: None)
    ids = [f"{i}" for i in range(400)]
    boxes = draw_boxes(draws, ids, (30, 60), (1.0, 1.2, 1.5))
    assert {(b.height, b.width) for b in boxes} == {(30, 60), (25, 50), (20, 40)}
    assert {b.top for b in boxes if b.height == 20} == set(range(11))
    assert all(0 <= b.top <= 30 - b.height and 0 <= b.left <= 60 - b.width for b in boxes)
    assert draw_boxes(draws, ids[::-1], (30, 60), (1.0, 1.2, 1.5)) == boxes[::-1]
