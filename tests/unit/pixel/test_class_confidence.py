"""How unsure one prediction is: against NumPy in float64, with certain, uniform and equal probabilities."""

import math

import numpy as np
import pytest
import torch

from labelgrid.pixel.class_confidence import MEASURES, entropy, least_confidence, margin


def test_a_certain_prediction_has_none_and_a_uniform_one_the_most():
    certain, uniform = (
        torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1),
        torch.full((1, 3, 1, 1), 1 / 3),
    )
    assert [float(measure(certain)) for measure in MEASURES.values()] == [0, 0, 0]
    found = [float(measure(uniform)) for measure in (entropy, least_confidence, margin)]
    assert found == pytest.approx([math.log(3), 2 / 3, 1])


def test_they_are_those_of_float64():
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), (2, 3, 4))
    given, ordered = torch.from_numpy(np.moveaxis(drawn, 3, 1)), np.sort(drawn, 3)
    wanted = {
        "entropy": -(drawn * np.log(drawn)).sum(3),
        "least_confidence": 1 - ordered[..., -1],
        "margin": 1 - (ordered[..., -1] - ordered[..., -2]),
    }
    for name, measure in MEASURES.items():
        np.testing.assert_allclose(measure(given)[:, 0].numpy(), wanted[name], rtol=1e-12)


def test_they_rank_differently():
    """Two classes compete in the first pixel; in the second none is likely."""
    two, many = (
        torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.4, 0.2, 0.2, 0.2]])
        .view(2, 4, 1, 1)[:, None]
        .unbind(0)
    )
    assert (
        margin(two) > margin(many)
        and least_confidence(two) < least_confidence(many)
        and entropy(two) < entropy(many)
    )
