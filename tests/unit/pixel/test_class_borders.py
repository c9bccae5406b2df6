"""Edges of predicted classes: those of such a label, sides, soft borders, and gradients."""

import numpy as np
import pytest
import torch

from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.class_borders import class_borders
from labelgrid.pixel.prediction import one_hot
from labelgrid.relations.derivations.semseg_edges import Options, derive_edges

SIDES = ["either", "both", "first", "second"]


def row(*probabilities):
    """One row of pixels of two classes, by the probability of the first."""
    first = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([first, 1 - first])[None, :, None]


def drawn(found):
    """A row of edges: # yes, - no, ? not valid."""
    letters = np.where(found.value[0, 0, 0] >= 0.5, "#", "-")
    return "".join(np.where(found.valid[0, 0, 0], letters, "?"))


@pytest.mark.parametrize("side", SIDES)
def test_certain_predictions_have_exactly_the_edges_of_such_a_label(side):
    for seed in range(5):
        classes = np.random.default_rng(seed).integers(0, 3, (4, 5))
        classes = classes.repeat(3, 0).repeat(2, 1)[..., None]
        label = LabelArray(classes, np.ones(classes.shape[:2], np.bool_))
        wanted = derive_edges(Options(side=side), [label], None)
        found = class_borders(one_hot(torch.from_numpy(classes)[None].movedim(3, 1), 3), side)
        assert np.array_equal(found.valid[0, 0].numpy(), wanted.valid)
        value = found.value[0, 0].numpy()
        assert np.array_equal(value[wanted.valid], wanted.value[..., 0][wanted.valid])


@pytest.mark.parametrize(
    ("side", "wanted"),
    [("either", "-#?--"), ("both", "-##--"), ("first", "-#---"), ("second", "--#--")],
)
def test_a_border_that_is_not_quite_certain_is_an_edge_of_less_than_one(side, wanted):
    found = class_borders(row(0.9, 0.9, 0.2, 0.2, 0.2), side)
    assert drawn(found) == wanted
    assert found.value.max().item() == pytest.approx(0.7)


def test_a_soft_border_is_not_valid_and_pixels_that_are_equally_unsure_have_none():
    assert drawn(class_borders(row(0.7, 0.7, 0.4, 0.4), "both")) == "-??-"
    assert drawn(class_borders(row(0.95, 0.95, 0.51, 0.51), "both")) == "----"
    assert drawn(class_borders(row(0.5, 0.5, 0.5), "both")) == "---"


def test_a_class_that_fades_by_half_without_another_one_is_not_valid():
    sure, unsure = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    found = class_borders(torch.stack([sure, sure, unsure, unsure], 1)[None, :, None], "both")
    assert drawn(found) == "-??-"


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: class_borders(x.softmax(1), "both").value, raw)


def test_what_is_not_finite_is_not_valid_and_neither_are_the_pixels_beside_it():
    probabilities = row(1.0, 1.0, float("nan"), 1.0, 1.0).requires_grad_()
    found = class_borders(probabilities, "both")
    assert drawn(found) == "-???-"
    found.value.sum().backward()
    assert probabilities.grad is not None and probabilities.grad.isfinite().all()


@pytest.mark.parametrize("side", SIDES)
def test_a_map_of_one_pixel_has_no_edge(side):
    found = class_borders(torch.full((1, 3, 1, 1), 1 / 3), side)
    assert found.valid.all() and not found.value.any()
