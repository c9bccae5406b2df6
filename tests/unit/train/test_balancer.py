"""Balancers: what they are given, and the rate of their own parameters."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from labelgrid.basics.progress import Silent
from labelgrid.train.balancer import Balancer, TaskLosses
from labelgrid.train.objective import supervised_loss
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan

COVERS = ["labelgrid.train.balance.fixed"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=4, size=(32, 64), tasks=("depth", "normals")
    )


class Weighing(Balancer):
    """Learns a factor, and keeps what it was given."""

    def __init__(self, rate=0.0):
        super().__init__()
        self.factor, self.idle, self.learning_rate = (
            nn.Parameter(torch.ones(())),
            nn.Parameter(torch.ones(())),
            rate,
        )
        self.given = []

    def backward(self, step):
        self.given.append(step)
        total = (
            self.factor * sum(loss.mean() for loss in step.losses.values())
            + 0 * self.idle
            + step.other
        )
        step.backward(total)
        return total.detach()


def trained(data, balancer, **options):
    chosen = TrainOptions(
        **{"epochs": 2, "batch": 2, "known": 0.0, "optimiser": "adamw", "power": 0.0, **options}
    )
    training = Trainer(replace(toy_plan(data, chosen), balancer=balancer))
    for _ in range(2):
        training.run_epoch(Silent())
    return training


def test_a_balancer_gets_the_shared_features_and_parameters_the_step_and_who_has_what(data):
    balancer = Weighing()
    training = trained(data, balancer)
    encoder = list(training.network.encoder.parameters())
    assert [step.step for step in balancer.given] == [0, 1, 2, 3]
    assert [step.progress for step in balancer.given] == [0.0, 0.25, 0.5, 0.75]
    step = balancer.given[0]
    assert [id(p) for p in step.parameters] == [id(p) for p in encoder if p.requires_grad]
    assert (
        step.present.shape == (2, 2)
        and step.labelled == ["depth", "normals"]
        and step.features.dim() == 4
    )
    assert [step.epoch for step in balancer.given] == [0, 0, 1, 1] and step.classes == frozenset()


def test_a_balancer_is_told_which_tasks_are_classes(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=("semseg", "depth", "edges"))
    balancer = Weighing()
    trained(made, balancer)
    assert balancer.given[0].classes == {"semseg", "edges"}


def reduce(losses, present):
    return supervised_loss(losses, present, "image_mean")


def test_parts_and_means_are_those_of_the_labelled_tasks():
    losses = {
        "a": torch.tensor([2.0, 4.0, 9.0]),
        "b": torch.tensor([9.0, 3.0, 9.0]),
        "c": torch.full((3,), 9.0),
    }
    present = torch.tensor([[True, False, False], [True, True, False], [False, False, False]])
    step = TaskLosses(
        losses=losses,
        present=present,
        other=torch.zeros(()),
        features=torch.zeros(()),
        parameters=(),
        step=7,
        progress=0.5,
        backward=print,
        epoch=3,
        classes=frozenset({"a"}),
    )
    weights = {"a": 1.0, "b": 2.0, "c": 1.0}
    parts = step.parts(reduce, weights)
    assert {name: part.item() for name, part in parts.items()} == {
        "a": pytest.approx(4 / 3),
        "b": 1.0,
    }
    whole = reduce({name: weights[name] * loss for name, loss in losses.items()}, present)
    assert sum(parts.values()).item() == pytest.approx(whole.item())
    assert (step.mean("a").item(), step.mean("b").item()) == (3.0, 3.0)
    few = step.only(["c", "a"])
    assert list(few.losses) == ["c", "a"] and torch.equal(few.present, present[:, [2, 0]])
    assert (few.step, few.epoch, few.classes, few.labelled) == (7, 3, {"a"}, ["a"])


def test_a_step_without_labels_leaves_the_terms_gradient():
    weight, unlabelled, given = (
        torch.ones(2, requires_grad=True),
        torch.ones(2, requires_grad=True),
        [],
    )
    step = TaskLosses(
        losses={"a": unlabelled},
        present=torch.zeros(2, 1).bool(),
        other=weight.sum(),
        features=weight,
        parameters=(),
        step=0,
        progress=0.0,
        backward=given.append,
    )
    assert step.without_labels(reduce).item() == 2.0
    given[0].backward()
    assert weight.grad.tolist() == [1, 1] and not unlabelled.grad.any()
    step = TaskLosses(
        losses={"a": unlabelled},
        present=torch.zeros(2, 1).bool(),
        other=torch.zeros(()),
        features=weight,
        parameters=(),
        step=0,
        progress=0.0,
        backward=given.append,
    )
    step.without_labels(reduce)
    given[1].backward()  # also without a term


def test_its_own_parameters_have_their_own_rate_and_no_weight_decay(data):
    balancer = Weighing(rate=0.05)
    trained(data, balancer, weight_decay=0.5, learning_rate=1e-6)
    assert float(balancer.factor.detach()) == pytest.approx(
        1 - 4 * 0.05, rel=0.05
    )  # Adam's steps are its rate
    assert float(balancer.idle.detach()) == 1.0
    balancer = Weighing()
    trained(data, balancer, learning_rate=1e-6)
    assert float(balancer.factor.detach()) == pytest.approx(1 - 4e-6, abs=1e-6)


def test_its_rate_falls_as_the_trainings_does(data):
    training = trained(data, Weighing(rate=0.05), power=1.0, learning_rate=0.01)
    assert [group["lr"] for group in training.optimiser.param_groups] == [0.005, 0.025]
    assert training.rate == 0.005
