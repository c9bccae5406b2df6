"""Colours: each image's own draws, strengths, and what the operations are on known pixels."""

import pytest
import torch

from labelgrid.train.colour_operations import OPERATIONS, change_colours
from labelgrid.train.step_draws import Draws
from labelgrid.train.train_options import LEVELS

DRAWS = Draws(seed=0, step=3, ids=(), pool=(), load=lambda ids, seed: None)
MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])


def images_of(count):
    pixels = torch.rand(count, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    return (pixels - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)


def changed(images, ids, operations=2, levels=LEVELS):
    return change_colours(
        images, ids, draws=DRAWS, operations=operations, levels=levels, mean=MEAN, std=STD
    )


def test_draws_belong_to_the_image_and_all_operations_come():
    images, ids = images_of(1).expand(60, 3, 8, 12), [f"{i}" for i in range(60)]
    found = changed(images, ids)
    torch.testing.assert_close(changed(images, ids[::-1]), found.flip(0))
    assert len({one.sum().item() for one in found}) > 40
    torch.testing.assert_close(found, changed(images, ids))
    other = change_colours(
        images, ids, draws=DRAWS.of_view("second"), operations=2, levels=LEVELS, mean=MEAN, std=STD
    )
    assert not torch.equal(other, found)


def test_pixels_stay_colours_and_few_levels_change_less():
    images, ids = images_of(60), [f"{i}" for i in range(60)]
    found = changed(images, ids, operations=4)
    pixels = found * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)
    assert pixels.min() > -1e-6 and pixels.max() < 1 + 1e-6
    torch.testing.assert_close(changed(images, ids, operations=0), images)
    weak = (changed(images, ids, operations=1, levels=6) - images).abs().mean()
    assert weak < 0.6 * (changed(images, ids, operations=1) - images).abs().mean()


@pytest.mark.parametrize(
    ("name", "strength", "wanted"),
    [
        ("nothing", 1.0, [0.2, 0.6]),
        ("brightness", 0.5, [0.29, 0.87]),
        ("brightness", -1.0, [0.02, 0.06]),
        ("contrast", -1.0, [0.38, 0.42]),
        ("saturation", 1.0, [0.2, 0.6]),
        ("posterise", 1.0, [0.1875, 0.5625]),
        ("solarise", 0.5, [0.2, 0.4]),
        ("full contrast", 0.0, [0.0, 1.0]),
    ],
)
def test_an_operation_does_what_its_name_says(name, strength, wanted):
    grey = torch.tensor([0.2, 0.6]).expand(3, 1, 2)
    torch.testing.assert_close(
        OPERATIONS[name](grey, strength)[0, 0], torch.tensor(wanted), atol=1e-4, rtol=0
    )


def test_an_equal_histogram_spreads_values_and_sharpness_moves_from_the_mean_of_neighbours():
    dark = torch.linspace(0, 0.2, 1024).view(1, 32, 32).expand(3, 32, 32)
    assert OPERATIONS["equal histogram"](dark, 0.0).max() > 0.9
    spot = torch.full((3, 5, 5), 0.5)
    spot[:, 2, 2] = 0.7
    assert (
        OPERATIONS["sharpness"](spot, 1.0)[0, 2, 2]
        > 0.7
        > OPERATIONS["sharpness"](spot, -1.0)[0, 2, 2]
    )
