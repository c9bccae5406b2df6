"""Cross-task mappings: the published size, images of any size, one image alone, and which mappings run."""

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from labelgrid.train.cross_maps import (
    CrossMap,
    CrossMaps,
    direct_losses,
    labelled_sources,
    mapped_distances,
    sum_by_image,
)
from labelgrid.train.objective import targets_present
from labelgrid.train.pairs import allowed_pairs, pairs_of
from labelgrid.train.term_options import CrossMapOptions
from labelgrid.train.terms import direct_map, perceptual_map, x_task
from labelgrid.train.train_options import ObjectiveOptions
from tests.unit.train.terms.stepped import ONE, step_of, training_of

NAMES = ["semseg", "depth", "normals"]
ALL = allowed_pairs(NAMES, [], "it")


def test_the_whole_segnet_of_the_paper_has_25_million_parameters():
    with torch.device("meta"):
        assert sum(p.numel() for p in CrossMap(13, 1, 64).parameters()) == 24_949_121


@pytest.mark.parametrize("size", [(1, 1), (7, 45), (64, 32)])
@pytest.mark.parametrize("fixed", [False, True])
def test_one_map_of_any_size_is_mapped_and_learns(tmp_path, size, fixed):
    maps = CrossMaps(
        training_of(tmp_path, direct_map, direct_map.Options(width=1)).plan.tasks,
        ALL,
        2,
        fixed=fixed,
    )
    given = torch.rand(1, 4, *size, requires_grad=True)
    found = maps.raw(0, 2, given)
    assert found.shape == (1, 3, *size)
    found.square().sum().backward()
    assert (
        torch.isfinite(given.grad).all()
        and (maps.networks["semseg>normals"].last.weight.grad is None) == fixed
    )


@pytest.fixture
def training(tmp_path):
    return training_of(tmp_path, direct_map, direct_map.Options(width=2))


def test_what_is_fixed_stays_fixed_when_all_modules_are_trained_and_what_is_not_keeps_no_statistics(
    training,
):
    fixed, free = (CrossMaps(training.plan.tasks, ALL, 2, fixed=fixed) for fixed in (True, False))
    nn.ModuleList([fixed, free]).train()
    before = {name: value.clone() for name, value in fixed.state_dict().items()}
    for maps in (fixed, free):
        maps.raw(0, 1, torch.rand(2, 4, 32, 32))
    assert all(torch.equal(before[name], value) for name, value in fixed.state_dict().items())
    assert not any("running" in name or "tracked" in name for name in free.state_dict())
    free.load_state_dict(free.state_dict())
    fixed.fix(fixed=False)
    fixed.networks["semseg>depth"](torch.rand(2, 4, 32, 32))
    assert any(not torch.equal(before[name], value) for name, value in fixed.state_dict().items())


def test_mappings_of_pairs_that_do_not_occur_do_not_run(training):
    maps, ran = training.plan.terms["it"].maps, []
    for name, network in maps.networks.items():
        network.register_forward_pre_hook(
            lambda _, given, name=name: ran.append((name, len(given[0])))
        )
    labelled = ONE & torch.tensor([True, False, False])  # two images with semseg alone
    step = step_of(training, labelled)
    present = targets_present(step.batch.targets, NAMES)
    direct_losses(maps, step, pairs_of(present, ALL, "unlabelled"))
    assert ran == [("depth>semseg", 2), ("normals>semseg", 2)]
    ran.clear()
    mapped_distances(maps, step, labelled_sources(present, ALL))
    assert ran == [("semseg>depth", 4), ("semseg>normals", 4)], (
        "predictions and labels are one pass"
    )


def test_a_pair_counts_as_its_target_does_in_the_objective(training):
    step = replace(
        step_of(training), objective=ObjectiveOptions(weights={"depth": 3.0, "normals": 1.0})
    )
    pairs = labelled_sources(targets_present(step.batch.targets, NAMES), ALL)
    found = sum_by_image(step, pairs, torch.ones(len(pairs)), divide=False)
    assert found.tolist() == [4.0, 2.0, 4.0, 4.0, 2.0, 4.0]
    full = labelled_sources(torch.ones(6, 3, dtype=torch.bool), ALL)
    assert sum_by_image(step, full, torch.ones(len(full)), divide=True).tolist() == pytest.approx(
        [10 / 3] * 6
    )


def test_pixels_without_a_label_do_not_count_against_the_prediction(training):
    step, maps = step_of(training, torch.ones_like(ONE)), training.plan.terms["it"].maps
    targets = {
        n: replace(t, valid=t.valid & (torch.arange(64) < 32))
        for n, t in step.batch.targets.items()
    }
    step = replace(step, batch=replace(step.batch, targets=targets))
    pairs = labelled_sources(targets_present(targets, NAMES), ALL)
    names = ["depth", "normals"]
    gradients = torch.autograd.grad(
        mapped_distances(maps, step, pairs).sum(), [step.output.final[name] for name in names]
    )
    for gradient in gradients:
        right = gradient[..., gradient.shape[-1] // 2 + 1 :]
        assert gradient.any() and not right.any()


def test_the_terms_have_their_common_options_once():
    shared = {field.name for field in fields(CrossMapOptions)}
    own = [{*term.Options.__annotations__} for term in (direct_map, perceptual_map, x_task)]
    assert shared == {"weight", "width", "divide", "listed", "recompute"} and not any(
        shared & names for names in own
    )
    assert all(
        issubclass(term.Options, CrossMapOptions) for term in (direct_map, perceptual_map, x_task)
    )
