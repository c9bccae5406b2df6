"""The discriminator's cross entropies by hand, who learns from which of them, and that it tells pairs apart."""

from dataclasses import replace

import pytest
import torch

from labelgrid.train.terms import discriminator
from tests.reference.test_mtpsl import LABELLED, step_of

LIGHT = {"mapping": "light", "width": 16, "divide": False}


def entropies(term, codes):
    """Each pair's cross entropies, of its own maps as yes, and of its label's with another image's as no."""
    tasks = [*zip(codes.pairs.source.tolist(), codes.pairs.target.tolist(), strict=True)]
    for p, both in enumerate(tasks):
        same = [q for q, other in enumerate(tasks) if other == both]
        other = same[(same.index(p) + 1) % len(same)]
        yes, no = (
            torch.sigmoid(term.judge(torch.cat([codes.sources[[q]], codes.targets[[p]]], 1)))[0]
            for q in (p, other)
        )
        yield (-yes.log(), -(1 - no).log()) if other != p else (yes * 0, no * 0)


@pytest.mark.parametrize("aim", ["both", "positive"])
def test_network_and_mapping_learn_from_the_cross_entropies(tmp_path, aim):
    training, step = step_of(
        tmp_path, discriminator, discriminator.Options(**LIGHT, aim=aim, weight=3.0)
    )
    term = training.plan.terms["it"]
    codes = term.codes(step)
    wanted = torch.zeros(6).double()
    for image, (yes, no) in zip(codes.pairs.image.tolist(), entropies(term, codes), strict=True):
        wanted[image] += 3 * (yes + no if aim == "both" else yes)
    with training.terms.own.freeze():
        found = term.loss(step)["judged"]
        torch.testing.assert_close(found, wanted)
        found.sum().backward()
    assert all(p.grad is None for p in term.judge.parameters())
    assert term.mapping.rest[-2].convolution.weight.grad.any()
    assert any(p.grad is not None and p.grad.any() for p in training.network.parameters())


def test_the_discriminator_learns_from_both_and_changes_nothing_else(tmp_path):
    training, step = step_of(tmp_path, discriminator, discriminator.Options(**LIGHT, rate=1e-2))
    term = training.plan.terms["it"]
    before = [p.detach().clone() for p in training.network.parameters()]
    with training.terms.own.freeze():
        term.loss(step)
    codes, kept = term.last_codes, []
    for _ in range(300):
        term.last_codes = codes
        own = term.optimisers()["judge"].loss(step)["entropy"]
        kept.append(own.sum().item())
        term.optimiser.zero_grad()
        own.mean().backward()
        term.optimiser.step()
    assert kept[-1] < 0.5 * kept[0]
    assert all(p.grad is None for p in (*training.network.parameters(), *term.mapping.parameters()))
    assert all(
        torch.equal(a, b) for a, b in zip(before, training.network.parameters(), strict=True)
    )


def test_without_pairs_there_is_nothing_to_learn(tmp_path):
    none = torch.zeros_like(LABELLED)
    training, step = step_of(tmp_path, discriminator, discriminator.Options(**LIGHT), none)
    term = training.plan.terms["it"]
    assert term.loss(step) == {} and term.optimisers()["judge"].loss(step) == {}


def test_each_step_learns_from_its_own_maps_alone(tmp_path):
    training, step = step_of(tmp_path, discriminator, discriminator.Options(**LIGHT))
    term = training.plan.terms["it"]
    own = term.optimisers()["judge"].loss
    flipped = {name: raw.flip(0) for name, raw in step.output.final.items()}
    losses = []
    for one in (step, replace(step, output=replace(step.output, final=flipped))):
        term.loss(one)
        losses.append(own(one)["entropy"])
        codes = term.codes(one)
        pairs = zip(codes.pairs.image.tolist(), entropies(term, codes), strict=True)
        wanted = torch.zeros(6).double()
        for image, (yes, no) in pairs:
            wanted[image] += yes + no
        torch.testing.assert_close(losses[-1], wanted)
    assert not torch.allclose(*losses)
    targets = {
        name: target.where(torch.zeros(6).bool()) for name, target in step.batch.targets.items()
    }
    empty = replace(step, batch=replace(step.batch, targets=targets))
    assert term.loss(empty) == {} and own(empty) == {}, "nothing is left of the step before"
