"""What a training leaves: the weights that are evaluated, and its terms, in modules built as it built them."""

import pytest
import torch
from torch import nn

from labelgrid.train.checkpoint import Checkpoint
from labelgrid.train.trained_model import OtherTasksError, restore_states


def checkpoint(**changes):
    states = {
        "network": nn.Linear(2, 1).state_dict(),
        "parts": {"it": nn.Linear(1, 1).state_dict()},
    }
    fields = {
        "epoch": 1,
        "step": 2,
        "optimiser": {},
        "scaler": {},
        "history": [],
        "identity": "{}",
        **states,
    }
    return Checkpoint(**{**fields, **changes})


def test_the_weights_that_are_evaluated_and_the_terms_states_are_loaded():
    averaged = nn.Linear(2, 1).state_dict()
    for kept, expected in (
        (checkpoint(evaluated=averaged), averaged),
        (plain := checkpoint(), plain.network),
    ):
        network, term = nn.Linear(2, 1), nn.Linear(1, 1)
        model = restore_states(kept, network, {"it": term})
        assert model.network is network and torch.equal(network.weight, expected["weight"])
        assert torch.equal(term.weight, kept.parts["it"]["weight"]) and model.digest == kept.digest
        assert not network.training and not term.training and model.members == ()


@pytest.mark.parametrize(
    ("network", "terms"),
    [
        (nn.Linear(3, 1), {}),
        (nn.Linear(2, 1), {"it": nn.Linear(2, 2)}),
        (nn.Linear(2, 1), {"other": nn.Linear(1, 1)}),
    ],
    ids=["another network", "another term", "a term that was not there"],
)
def test_modules_of_another_training_are_refused(network, terms):
    with pytest.raises(
        OtherTasksError, match="trained for other tasks, with another network or other terms"
    ):
        restore_states(checkpoint(), network, terms)
