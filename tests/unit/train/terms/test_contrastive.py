"""The contrastive loss against loops in float64; a constant mapping costs the margin."""

import pytest
import torch

from labelgrid.train.terms import contrastive
from tests.reference.test_mtpsl import LABELLED, cosine, step_of


def hinges(codes, margin):
    """Each pair's hinge, with the next image of the same two tasks; of the last, the first."""
    tasks = [*zip(codes.pairs.source.tolist(), codes.pairs.target.tolist(), strict=True)]
    for p, both in enumerate(tasks):
        same = [q for q, other in enumerate(tasks) if other == both]
        other = same[(same.index(p) + 1) % len(same)]
        near, far = (cosine(codes.sources[q], codes.targets[p]) for q in (p, other))
        yield max(near - far + margin, near * 0) if other != p else near * 0


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_it_is_the_hinge_of_each_pair(tmp_path, margin):
    options = contrastive.Options(mapping="light", margin=margin, weight=2.0, divide=False)
    training, step = step_of(tmp_path, contrastive, options)
    term = training.plan.terms["it"]
    codes, found = term.codes(step), term.loss(step)["hinge"]
    wanted = torch.zeros(6).double()
    for image, hinge in zip(codes.pairs.image.tolist(), hinges(codes, margin), strict=True):
        wanted[image] += 2 * hinge
    torch.testing.assert_close(found, wanted)
    assert found[3] == 0 and found.sum() > 0
    found.sum().backward()
    assert all(p.grad is not None for p in term.mapping.inputs["depth"].parameters())


def test_a_constant_mapping_costs_the_margin(tmp_path):
    training, step = step_of(
        tmp_path, contrastive, contrastive.Options(mapping="light", margin=0.3, divide=False)
    )
    term = training.plan.terms["it"]
    with torch.no_grad():
        term.mapping.rest[-2].scale.zero_()
        term.mapping.rest[-2].shift.fill_(1.0)
    codes = term.codes(step)
    others = codes.pairs.of_another_image() != torch.arange(len(codes.pairs))
    wanted = torch.zeros(6).double().index_add(0, codes.pairs.image, 0.3 * others.double())
    torch.testing.assert_close(term.loss(step)["hinge"], wanted)


def test_one_image_alone_has_no_other(tmp_path):
    alone = LABELLED & (torch.arange(6) == 0)[:, None]
    training, step = step_of(tmp_path, contrastive, contrastive.Options(mapping="light"), alone)
    assert not training.plan.terms["it"].loss(step)["hinge"].any()
