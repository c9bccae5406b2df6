"""Layouts: a fused Adam steps as a plain one, although gradients and states have other strides than parameters."""

import copy

import pytest
import torch

from labelgrid.train.layout import match_gradients, match_states

LAST, FIRST = torch.channels_last, torch.contiguous_format


def parameter(layout):
    return torch.nn.Parameter(
        torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    )


def step(own, gradient, optimiser, *, match=True):
    own.grad = gradient
    if match:
        match_gradients(optimiser)
    optimiser.step()
    return own.detach()


@pytest.mark.parametrize(("layout", "other"), [(LAST, FIRST), (FIRST, LAST)])
def test_gradients_of_another_layout_make_the_same_step(layout, other):
    gradient = torch.randn(8, 4, 3, 3)
    plain, fused, mixed = parameter(layout), parameter(layout), parameter(layout)
    wanted = step(plain, gradient, torch.optim.Adam([plain], fused=False))
    found = step(fused, gradient.to(memory_format=other), torch.optim.Adam([fused], fused=True))
    torch.testing.assert_close(found, wanted)
    wrong = step(mixed, gradient.to(memory_format=other), torch.optim.Adam([mixed], fused=True), match=False)
    assert not torch.allclose(wrong, wanted), "torch's fused Adam minds strides now: layout.py is not needed"


def test_states_of_another_layout_make_the_same_step():
    first, second = torch.randn(2, 8, 4, 3, 3)
    plain = parameter(FIRST)
    before = torch.optim.Adam([plain], fused=True)
    step(plain, first, before)
    resumed = torch.nn.Parameter(plain.detach().clone(memory_format=LAST))
    after = torch.optim.Adam([resumed], fused=True)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    match_states(after)
    torch.testing.assert_close(step(resumed, second, after), step(plain, second, before))


def test_matching_leaves_what_fits_as_it_is():
    own = parameter(LAST)
    optimiser = torch.optim.Adam([own, torch.nn.Parameter(torch.zeros(2))], fused=True)
    gradient = torch.randn(8, 4, 3, 3).to(memory_format=LAST)
    step(own, gradient, optimiser)
    assert own.grad is gradient
    states = dict(optimiser.state[own])
    match_states(optimiser)
    assert all(optimiser.state[own][name] is value for name, value in states.items())
