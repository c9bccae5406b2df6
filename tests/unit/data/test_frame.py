"""Laws of the way back: outputs of a network at the original image's pixels, whole or in strips."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from labelgrid.data import frame as module
from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import (
    Frame,
    content_means,
    interpolation_window,
    neighbours,
    on_input,
    resize_to_original,
    target_of,
    to_patches,
)
from labelgrid.data.transforms import fit_placement, place_label
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef

SIZES = [(48, 64), (37, 91), (96, 128), (200, 30), (1, 1)]
FITS = ["resize", "crop", "pad"]


def frame_of(size: tuple[int, int], fit: str, canvas: tuple[int, int] = (96, 128)) -> Frame:
    return Frame.of(size, fit_placement(size, DataOptions(size=canvas, fit=fit)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("heads", [(24, 32), (96, 128), (1, 1), (25, 31)])
def test_restoring_a_resized_image_is_one_bilinear_interpolation(size, heads):
    raw = torch.randn(3, *heads, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = functional.interpolate(raw[None], size=size, mode="bilinear", align_corners=False)[0]
    assert torch.allclose(resize_to_original(raw, frame_of(size, "resize")), expected, atol=1e-10)
    assert torch.allclose(
        resize_to_original(raw.float(), frame_of(size, "resize")), expected.float(), atol=1e-5
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_strips_equal_the_whole_bitwise(size, fit):
    raw = torch.randn(2, 5, 24, 32, generator=torch.Generator().manual_seed(0))
    frame = frame_of(size, fit)
    whole = resize_to_original(raw, frame)
    assert whole.shape == (2, 5, *size)
    for rows in (1, 7, 50):
        strips = [
            resize_to_original(raw, frame, slice(i, min(i + rows, size[0])))
            for i in range(0, size[0], rows)
        ]
        assert torch.equal(torch.cat(strips, -2), whole)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(37, 91), (700, 300)])
def test_windows_equal_the_whole_bitwise_and_depend_on_the_values_around_them_alone(size, fit):
    raw = torch.randn(5, 24, 32, generator=torch.Generator().manual_seed(0))
    frame = frame_of(size, fit)
    whole = resize_to_original(raw, frame)
    for rows, columns in [
        (slice(3, 4), slice(0, 91)),
        (slice(9, 30), slice(13, 64)),
        (slice(30, 37), slice(50, 90)),
    ]:
        assert torch.equal(resize_to_original(raw, frame, rows, columns), whole[:, rows, columns])
        near = interpolation_window(raw, frame, rows, columns)
        assert (whole[:, rows, columns].amax((1, 2)) <= near.amax((1, 2)) + 1e-5).all()
        alone = torch.full_like(raw, torch.nan)
        interpolation_window(alone, frame, rows, columns).copy_(near)
        assert torch.equal(resize_to_original(alone, frame, rows, columns), whole[:, rows, columns])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("fit", FITS)
def test_chosen_pixels_and_patches_equal_the_whole_bitwise(fit, dtype):
    raw = torch.randn(5, 24, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    frame = frame_of((700, 301), fit)
    whole, rows, columns = (
        resize_to_original(raw, frame),
        torch.tensor([3, 4, 99, 699]),
        torch.tensor([0, 255, 300]),
    )
    assert torch.equal(
        resize_to_original(raw, frame, rows, columns), whole[:, rows[:, None], columns]
    )
    down, across = neighbours(frame, 0, None, raw.mT), neighbours(frame, 1, None, raw)
    channels = torch.tensor([[0, 3], [4, 1], [2, 2]])
    starts = [
        [int((low == at).nonzero()[0]) for at in low.unique()[[0, 5, -2]]]
        for low in (down.low, across.low)
    ]
    y, x = (
        torch.tensor(starts[0])[:, None] + torch.arange(9),
        torch.tensor(starts[1])[:, None] + torch.arange(4),
    )
    found = to_patches(raw, channels, down.of(y), across.of(x))
    assert torch.equal(
        found, whole[channels[:, :, None, None], y[:, None, :, None], x[:, None, None]]
    )


@pytest.mark.parametrize("rows", [60, 250])
def test_short_runs_of_rows_give_what_long_runs_give(rows, monkeypatch):
    raw = torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(0))
    found = []
    for short in (0, 1000):
        monkeypatch.setattr(module, "SHORT", short)
        found.append(resize_to_original(raw, frame_of((rows, 91), "pad")))
    assert torch.equal(*found)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(48, 64), (37, 91), (200, 60)])
def test_a_point_of_the_original_gets_what_the_network_said_at_its_place(size, fit):
    frame = frame_of(size, fit)
    down = torch.arange(frame.input[0]) + 0.5
    across = torch.arange(frame.input[1]) + 0.5
    raw = torch.stack([down[:, None].expand(frame.input), across[None].expand(frame.input)])
    back = resize_to_original(raw, frame)
    for axis in range(2):
        content = frame.content[axis]
        points = (torch.arange(size[axis]) + 0.5) * (content.stop - content.start) / size[
            axis
        ] + content.start
        points = points.clamp(0.5, frame.input[axis] - 0.5)
        expected = (points[:, None] if axis == 0 else points[None]).expand(size)
        assert torch.allclose(back[axis], expected.float(), atol=1e-4)


def test_half_precision_is_restored_in_full_precision():
    raw = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    frame = frame_of((300, 400), "resize")
    assert torch.allclose(
        resize_to_original(raw, frame), resize_to_original(raw.float(), frame), atol=1e-6
    )


def test_gradients_pass_through():
    raw = torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: resize_to_original(x, frame_of((9, 11), "pad", (16, 16))), raw
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", ["edges", "depth", "normals"])
def test_a_known_label_lies_as_the_image_does(fit, kind):
    task, rng = TaskDef.of(TaskRow("t", kind, 1.0)), np.random.default_rng(0)
    value = rng.normal(size=(37, 91, 3 if kind == "normals" else 1)).astype(np.float32)
    label = LabelArray(value, rng.random((37, 91)) > 0.3)
    target = target_of(on_input(label, frame_of((37, 91), fit), task))
    placed = place_label(label, fit_placement((37, 91), DataOptions(fit=fit)), task)
    assert target.value.shape == (1, value.shape[-1], *placed.size)
    assert (target.value[0].permute(1, 2, 0).numpy() == placed.value).all()
    assert (target.valid[0, 0].numpy() == placed.valid).all()
    assert (~target.valid).any()


def test_the_box_of_a_small_map_is_the_part_that_shows_the_image():
    frame = frame_of((100, 10), "pad", (64, 64))
    assert frame.content == (slice(0, 64), slice(29, 35))
    assert frame.box(64, 64) == frame.content
    assert frame.box(16, 16) == (slice(0, 16), slice(7, 9))
    assert frame.box(16, 4) == (slice(0, 16), slice(2, 3))
    assert frame.box(1, 1) == (slice(0, 1), slice(0, 1))


def test_means_are_over_the_part_that_shows_the_image_in_double_precision():
    maps = torch.full((2, 1, 24, 32), 1e8) + torch.arange(32) * 8
    maps[1, :, :, 16:] = torch.nan
    whole, half = (
        Frame((9, 9), (96, 128), (slice(0, 96), slice(0, 128))),
        (slice(0, 96), slice(0, 64)),
    )
    means = content_means(maps, [whole, Frame((9, 9), (96, 128), half)])
    assert means.dtype == torch.float64
    assert means.tolist() == [1e8 + 8 * 15.5, 1e8 + 8 * 7.5]
