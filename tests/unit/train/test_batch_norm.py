"""Which layers keep statistics, passes that leave these as they are, and batches that are too small."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.train.batch_norm import norms_of, refuse_tiny_batches, track_statistics
from labelgrid.train.term_options import JointOptions
from labelgrid.train.terms import contrastive, crop, discriminator, jtr, mean_teacher, mtpsl
from labelgrid.train.train_options import TrainOptions
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


def test_a_view_of_one_tiny_image_is_refused(tmp_path):
    made = make_dataset(tmp_path, n=1, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, TrainOptions(epochs=1, batch=1, known=0.0), net="shared_heads")
    plan = replace(
        plan, terms={"crop": crop.build(plan.tasks, plan.network, crop.Options(zoom=16.0))}
    )
    with pytest.raises(TrainingError, match="too small for batch normalisation") as refusal:
        Trainer(plan).run_epoch(Silent())
    assert made.names[0] in refusal.value.where and "crop" in refusal.value.next_step


def test_other_errors_pass():
    with pytest.raises(ValueError, match="another"), refuse_tiny_batches(["a.png"]):
        raise ValueError("another")
    with (
        pytest.raises(TrainingError, match=r"a\.png, b\.png"),
        refuse_tiny_batches(["a.png", "b.png"]),
    ):
        raise ValueError("Expected more than 1 value per channel when training")
