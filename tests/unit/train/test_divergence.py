"""What is said of a training that has ended."""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.train.divergence import diverged_losses, divergence_warning
from labelgrid.train.options import TrainOptions
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan


def history(depth, **start):
    return [
        {"loss": {"depth": 1e9}, **start},
        {"loss": {"depth": depth, "edges": 1e9}, "terms": {"crop.mse": 9e9}},
    ]


def test_the_last_epoch_is_compared_with_the_first_batch_where_it_had_the_task():
    assert (
        diverged_losses(history(9.0, start={"depth": 3.0, "crop.mse": 0.0})) == {}
    )  # terms may start at 0
    assert diverged_losses(history(9.1, start={"depth": 3.0})) == {"depth": (3.0, 9.1)}
    assert diverged_losses(history(1e9)) == {}  # a network that was trained before


def test_the_values_and_the_rate_are_named():
    said = divergence_warning(history(90.0, start={"depth": 3.0}), 0.5)
    assert "'depth' 90, at first 3" in said and "(it is 0.5)" in said


def test_the_first_loss_of_a_task_is_that_of_its_first_batch_with_a_label(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=("depth", "normals"))
    training = Trainer(toy_plan(made, TrainOptions(epochs=1, batch=2)))
    step, taken = training.train_step, []
    batch = next(training._batches(0))
    late = {
        name: target.where(torch.zeros(len(batch.ids)).bool())
        for name, target in batch.targets.items()
    }
    first = replace(batch, targets=late | {"depth": batch.targets["depth"]})
    training.stream.epoch = lambda *_: iter([(first, first.ids), (batch, batch.ids)])
    training.train_step = lambda *given: taken.append(step(*given)) or taken[-1]
    start = training.run_epoch(Silent())["start"]
    for column, (name, index) in enumerate({"depth": 0, "normals": 1}.items()):
        losses, present, _ = taken[index]
        assert start[name] == pytest.approx(
            float(losses[name].detach().sum() / present[:, column].sum()), rel=1e-6
        )
