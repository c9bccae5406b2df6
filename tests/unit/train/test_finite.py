"""Losses and weights that are not finite, and which values of modules are looked at."""

import torch

from labelgrid.train.finite import non_finite_values, trained_values


def test_losses_that_are_no_numbers_are_named():
    assert set(non_finite_values({"a": torch.ones(2), "b": torch.tensor([1.0, float("inf")])})) == {
        "b"
    }


def test_parameters_and_running_statistics_are_looked_at_and_other_buffers_are_not():
    module = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    module.register_buffer("best", torch.tensor(torch.inf))
    found = trained_values({"": torch.nn.Linear(1, 1), "term": module})
    own = {"term.0.weight", "term.0.bias", "term.0.running_mean", "term.0.running_var"}
    assert set(found) == {"weight", "bias", *own}
    module[0].running_var[1] = torch.nan
    assert set(non_finite_values(trained_values({"term": module}))) == {"term.0.running_var"}
