"""Drawn pixels: losses at them are those of resized outputs, and every pixel has its turn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.network import Features, Output
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.drawn_pixels import DrawnPixels
from labelgrid.train.objective import image_losses, resize_output, task_losses

TASKS = build_all(definitions([TaskRow("depth", "depth", 1), TaskRow("normals", "normals", 1)]))
SIZE = (24, 40)


def drawn(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> DrawnPixels:
    grid = DrawnPixels.of(size, count, np.random.default_rng(seed))
    assert grid is not None
    return grid


def target(seed: int, b: int = 3) -> Target:
    rng = torch.Generator().manual_seed(seed)
    value = torch.rand((b, 1, *SIZE), generator=rng, dtype=torch.float64)
    return Target(value, torch.rand((b, 1, *SIZE), generator=rng) < 0.8)


@pytest.mark.parametrize("count", [1, 7, 60, 240, 900])
@pytest.mark.parametrize("size", [(24, 40), (96, 128), (1, 50), (33, 5)])
def test_a_grid_has_at_most_so_many_pixels_and_every_pixel_is_drawn(
    count: int, size: tuple[int, int]
) -> None:
    if count >= size[0] * size[1]:
        assert DrawnPixels.of(size, count, np.random.default_rng(0)) is None
        return
    seen = np.zeros(size, int)
    for seed in range(12 * size[0] * size[1] // count if count >= 60 else 20):
        grid = drawn(count, seed, size)
        part = seen[grid.rows, grid.columns]
        assert 0 < part.size <= count
        part += 1
    assert seen.all() or count < 60


def test_zero_draws_none() -> None:
    assert DrawnPixels.of(SIZE, 0, np.random.default_rng(0)) is None


@pytest.mark.parametrize("resolution", [(6, 10), (24, 40), (5, 7), (48, 80)])
def test_outputs_at_drawn_pixels_are_those_of_resizing_and_so_are_gradients(
    resolution: tuple[int, int],
) -> None:
    raw = torch.randn(2, 3, *resolution, dtype=torch.float64, requires_grad=True)
    grid = drawn(100, 3)
    ours = grid.of_output(raw)
    whole = resize_output(raw, SIZE)[..., grid.rows, grid.columns]
    torch.testing.assert_close(ours, whole, rtol=0, atol=1e-12)
    weights = torch.randn(ours.shape, dtype=torch.float64)
    first = torch.autograd.grad((ours * weights).sum(), raw)
    second = torch.autograd.grad((whole * weights).sum(), raw)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def test_losses_of_drawn_pixels_few_and_missing_labels() -> None:
    labels = target(0)
    labels.valid[1] = False
    labels.valid[1, 0, 3, 5:9] = True  # four valid pixels: the label counts whole
    labels.valid[2] = False
    raws = {
        "depth": torch.rand(3, 1, 6, 10, dtype=torch.float64),
        "normals": torch.rand(3, 3, 6, 10, dtype=torch.float64),
    }
    missing = Target(torch.zeros(3, 3, *SIZE), torch.zeros(3, 1, *SIZE, dtype=torch.bool))
    empty = Features(torch.zeros(3, 1, 1, 1), ())
    output = Output(initial=(), final=raws, features=empty, task_features={})
    grid = drawn(100)
    losses = task_losses(
        TASKS, output, {"depth": labels, "normals": missing}, initial=0, drawn=grid
    )
    task = TASKS["depth"]
    (whole,) = image_losses(task, [raws["depth"]], labels)
    resized = resize_output(raws["depth"], SIZE)[..., grid.rows, grid.columns]
    (parts,) = image_losses(task, [resized], grid.of_target(labels))
    assert losses["depth"].tolist() == pytest.approx([float(parts[0]), float(whole[1]), 0.0])
    assert not losses["normals"].any() and not losses["normals"].requires_grad


def test_the_loss_of_an_image_does_not_depend_on_the_others_labels() -> None:
    labels = target(1)
    raw = torch.rand(3, 1, 6, 10, dtype=torch.float64)
    empty = Features(torch.zeros(3, 1, 1, 1), ())
    depth = {"depth": TASKS["depth"]}
    output = Output(initial=(), final={"depth": raw}, features=empty, task_features={})
    first = task_losses(depth, output, {"depth": labels}, initial=0, drawn=drawn(100))
    fewer = replace(labels, valid=labels.valid.clone())
    fewer.valid[0] = False
    fewer.valid[0, 0, 0, :3] = True
    second = task_losses(depth, output, {"depth": fewer}, initial=0, drawn=drawn(100))
    assert first["depth"][1:].tolist() == second["depth"][1:].tolist()
