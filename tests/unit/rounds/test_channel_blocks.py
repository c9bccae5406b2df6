"""Laws of class maps made block by block: exactly those of all values of all pixels, from few of the values."""

import numpy as np
import pytest
import torch

from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import Frame, neighbours, resize_to_original
from labelgrid.data.transforms import fit_placement
from labelgrid.pixel.prediction import class_target
from labelgrid.rounds import channel_blocks as blocks
from labelgrid.rounds.channel_blocks import Axis, class_map

CHANNELS = 30


def frame_of(size, fit="resize"):
    return Frame.of(size, fit_placement(size, DataOptions(size=(96, 128), fit=fit)))


def output(kind):
    """Values at the heads' resolution: smooth as a trained network's, unrelated, with many ties, or all equal."""
    generator = torch.Generator().manual_seed(0)
    if kind == "smooth":
        coarse = 3 * torch.randn(1, CHANNELS, 3, 4, generator=generator)
        return torch.nn.functional.interpolate(coarse, (24, 32), mode="bicubic")[0]
    if kind == "ties":
        return torch.randint(0, 2, (CHANNELS, 24, 32), generator=generator).float()
    return torch.randn(CHANNELS, 24, 32, generator=generator) * (kind != "equal")


def everywhere(raw, frame):
    return class_target(resize_to_original(raw, frame)[None]).value[0, 0].numpy()


@pytest.mark.parametrize("fit", ["resize", "pad"])
@pytest.mark.parametrize("size", [(96, 128), (97, 400), (301, 517), (900, 1100)])
@pytest.mark.parametrize("kind", ["smooth", "unrelated", "ties", "equal"])
def test_a_class_map_is_that_of_all_values_of_all_pixels(kind, size, fit):
    raw, frame = output(kind), frame_of(size, fit)
    found = class_map(raw, frame)
    assert found.valid.all() and found.value.dtype == np.int64 and found.value.shape == (*size, 1)
    assert np.array_equal(found.value[..., 0], everywhere(raw, frame))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_class_map_is_exact_in_every_precision(dtype, scale):
    raw, frame = (scale * output("unrelated")).to(dtype), frame_of((301, 517))
    assert np.array_equal(class_map(raw, frame).value[..., 0], everywhere(raw, frame))


def test_roundings_of_large_values_that_cancel_out_do_not_matter():
    raw = output("unrelated")
    raw[:, :12] += 1e6  # a photograph of one row lies halfway between rows 11 and 12
    raw[:, 12:] -= 1e6
    frame = frame_of((1, 3000))
    assert resize_to_original(raw, frame).abs().max() < 10
    assert np.array_equal(class_map(raw, frame).value[..., 0], everywhere(raw, frame))


@pytest.mark.parametrize("seed", range(3))
def test_the_class_is_that_of_values_in_double_precision_but_for_near_ties(seed):
    raw, frame = (
        torch.randn(CHANNELS, 24, 32, generator=torch.Generator().manual_seed(seed)),
        frame_of((480, 640)),
    )
    exact = torch.nn.functional.interpolate(raw[None].double(), (480, 640), mode="bilinear")[0]
    found = torch.from_numpy(class_map(raw, frame).value[..., 0])
    lost = exact.amax(0) - exact.gather(0, found[None])[0]
    assert lost.max() < 1e-5 and (lost == 0).float().mean() > 0.9999


def test_what_is_not_finite_or_too_small_to_gain_is_left_to_others():
    raw = output("smooth")
    assert class_map(raw, frame_of((24, 32))) is None and class_map(raw, frame_of((60, 80))) is None
    for wrong in (torch.nan, torch.inf, 3e38):
        raw[3, 4, 5] = wrong
        assert class_map(raw, frame_of((300, 400))) is None


def test_most_values_of_smooth_outputs_are_never_computed(monkeypatch):
    sizes, patches = [], blocks.to_patches
    monkeypatch.setattr(
        blocks,
        "to_patches",
        lambda *given: sizes.append(patches(*given).numel()) or patches(*given),
    )
    class_map(output("smooth"), frame_of((1100, 1300)))
    assert 0 < sum(sizes) < 1100 * 1300  # of 30 times as many


@pytest.mark.parametrize("pixels", [5, 24, 700])
def test_blocks_cover_every_pixel_once_and_lie_between_the_same_values(pixels):
    near = neighbours(frame_of((pixels, 40)), 0, None, torch.zeros(32, 24))
    axis = Axis.of(near)
    assert axis.start.tolist() == [0, *axis.stop.tolist()[:-1]] and int(axis.stop[-1]) == pixels
    assert axis.longest <= blocks.SIDE and (axis.start < axis.stop).all()
    assert torch.equal(near.low[axis.start], near.low[axis.stop - 1])
    inside = axis.pixels(torch.arange(len(axis.start)))
    assert torch.equal(inside.unique(), torch.arange(pixels))
    assert (inside >= axis.start[:, None]).all() and (inside < axis.stop[:, None]).all()
