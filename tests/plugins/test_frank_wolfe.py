"""MGDA in a whole round: the closed form of two tasks, and a batch that lacks a task's labels."""

import itertools

import numpy as np
import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.rounds import fit
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.objective import supervised_loss
from tests.plugins.frank_wolfe import Mgda, Options, smallest
from tests.rounds import labelled, whole_round

CHANGES = {"balance": {"name": "tests.plugins.frank_wolfe:build"}}


def test_a_killed_training_with_mgda_resumes(tmp_path):
    whole_round(tmp_path, CHANGES, step=2, tasks=("semseg", "depth"))[0].close()


def reduce(losses, present):
    return supervised_loss(losses, present, "task_sum")


def two_losses(shared, present):
    """Quadratic functions of the shared parameters, one row per image."""
    targets = {"a": torch.tensor([1.0, 0.0, 2.0]), "b": torch.tensor([-1.0, 3.0, 0.5])}
    scales = {"a": 1.0, "b": 2.0}
    columns = [
        scales[n] * (shared - target).square().sum().expand(2) for n, target in targets.items()
    ]
    return {n: torch.where(present[:, i], columns[i], 0.0) for i, n in enumerate(targets)}


@pytest.mark.parametrize("seed", range(5))
def test_of_two_tasks_the_weights_are_the_closed_forms(seed):
    shared = torch.nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(seed)))
    present = torch.ones(2, 2, dtype=torch.bool)
    losses = two_losses(shared, present)
    (g,), (h,) = (
        torch.autograd.grad(loss.mean(), [shared], retain_graph=True) for loss in losses.values()
    )
    expected = float(
        (((h - g) @ h) / (g - h).square().sum()).clamp(0, 1)
    )  # Sener & Koltun, equation 6
    balancer = Mgda({"a": 1.0, "b": 1.0}, reduce, Options())
    step = TaskLosses(
        losses=losses,
        present=present,
        other=torch.zeros(()),
        features=shared,
        parameters=[shared],
        step=0,
        progress=0.0,
        backward=torch.Tensor.backward,
    )
    balancer.backward(step)
    assert balancer.last["a"] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(shared.grad, expected * g + (1 - expected) * h, rtol=1e-4, atol=1e-5)


def test_of_three_tasks_no_other_weights_make_a_smaller_step():
    vectors = torch.randn(3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights = smallest(vectors @ vectors.T, 5000, 1e-9).double()
    length = float((weights @ vectors).norm())
    for a, b in itertools.product(np.linspace(0, 1, 41), repeat=2):
        if a + b <= 1:
            other = torch.tensor([a, b, 1 - a - b], dtype=torch.float64)
            assert float((other @ vectors).norm()) >= length - 1e-3


def test_a_task_without_a_label_in_the_batch_takes_no_part():
    shared = torch.nn.Parameter(torch.zeros(3))
    present = torch.tensor([[True, False], [True, False]])
    balancer = Mgda({"a": 1.0, "b": 1.0}, reduce, Options())
    losses = two_losses(shared, present)
    step = TaskLosses(
        losses=losses,
        present=present,
        other=torch.zeros(()),
        features=shared,
        parameters=[shared],
        step=0,
        progress=0.0,
        backward=torch.Tensor.backward,
    )
    balancer.backward(step)
    assert balancer.last == {"a": 1.0}
    torch.testing.assert_close(shared.grad, -2 * torch.tensor([1.0, 0.0, 2.0]))


def test_a_round_is_trained_with_images_that_lack_tasks(tmp_path):
    project, _ = labelled(tmp_path, images=4, tasks=("semseg", "depth"))
    with project:
        cells = [row.cell for row in project.store.cells(state=State.LABELLED, splits=("train",))]
        lacking = [cell for cell in cells if cell.task != "depth"]
        project.store.move(
            [Move(cell=Cell(cell.image_id, cell.task), to=State.MISSING) for cell in lacking[:-1]]
        )
        done = fit.fit(
            project,
            Silent(),
            changes={**CHANGES, "train": {"epochs": 1, "batch": 1, "norm": "frozen"}},
        )
        assert sum(done.labels.values()) == len(cells) - len(lacking) + 1
