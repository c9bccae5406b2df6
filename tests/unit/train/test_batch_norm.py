"""Which layers keep statistics, and passes of the network that leave these as they are."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from labelgrid.train.batch_norm import norms_of, track_statistics
from labelgrid.train.joint_options import JointOptions
from labelgrid.train.options import TrainOptions
from labelgrid.train.terms import contrastive, crop, discriminator, jtr, mean_teacher, mtpsl
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan

JOINT = {"mapping": "light", "view": "crop", "zooms": (1.5,)}


def statistics(network):
    return [
        value.clone()
        for norm in norms_of(network)
        for value in (norm.running_mean, norm.running_var)
    ]


def counts(network):
    return [norm.num_batches_tracked.item() for norm in norms_of(network)]


def test_layers_without_statistics_and_those_of_a_frozen_part_are_left_out():
    frozen, norm = nn.Sequential(nn.BatchNorm2d(2)), nn.BatchNorm1d(2)
    network = nn.Sequential(
        frozen, norm, nn.BatchNorm2d(2, track_running_stats=False), nn.GroupNorm(1, 2)
    )
    assert norms_of(network, frozen) == [norm]
    assert norms_of(network) == [frozen[0], norm]


def test_a_pass_that_is_not_tracked_normalises_as_others_do():
    torch.manual_seed(0)
    norm, images = nn.BatchNorm2d(3), torch.rand(2, 3, 4, 4) + 5
    before = statistics(norm)
    with track_statistics(norm, track=False):
        found = norm(images)
        norm(torch.full_like(images, torch.inf))
    torch.testing.assert_close(statistics(norm), before, rtol=0, atol=0)
    assert counts(norm) == [0]
    torch.testing.assert_close(found, norm(images))
    assert float(norm.running_mean[0]) > 0.1 and counts(norm) == [1]
    with pytest.raises(KeyError), track_statistics(norm, track=False):
        raise KeyError
    assert norm.track_running_stats


def test_a_frozen_layer_evaluates_with_its_statistics_although_it_is_not_tracked():
    norm, images = nn.BatchNorm2d(3).eval(), torch.rand(2, 3, 4, 4) + 5
    with track_statistics(norm, track=False):
        torch.testing.assert_close(norm(images), images / (1 + norm.eps) ** 0.5)


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize(
    ("term", "options"),
    [
        (crop, {}),
        (mean_teacher, {}),
        (mean_teacher, {"features": 0.5}),
        (jtr, {"width": 2}),
        (mtpsl, JOINT),
        (contrastive, JOINT),
        (discriminator, JOINT),
    ],
)
def test_the_kept_statistics_are_those_of_the_batch_alone_if_views_are_not_tracked(
    tmp_path, term, options, track
):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=("semseg", "depth"))
    found = []
    for terms in ({}, {"it": term}):
        plan = toy_plan(made, TrainOptions(epochs=1, batch=4, known=0.0), net="shared_heads")
        built = {
            name: one.build(plan.tasks, plan.network, one.Options(**options, track=track))
            for name, one in terms.items()
        }
        training = Trainer(replace(plan, terms=built))
        training.network.train()
        batch = next(training._batches(0))
        lacking = {
            name: target.where(torch.arange(4) < 2 * i + 1)
            for i, (name, target) in enumerate(batch.targets.items())
        }
        training.train_step(replace(batch, targets=lacking), 0)
        found.append(torch.cat(statistics(training.network)))
    same = torch.allclose(*found, rtol=1e-5, atol=1e-6)
    assert same is not track


def test_one_pass_leaves_nothing_to_track():
    with pytest.raises(ValueError, match="track has no effect with one_pass = true"):
        JointOptions(view="crop", one_pass=True, track=False)
