"""Direct-Map: what its gradients reach, its pairs, and bad input."""

import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.train.terms import direct_map
from labelgrid.train.terms.direct_map import Options
from tests.unit.train.terms.stepped import (
    ONE,
    alone,
    garbage,
    step_of,
    training_of,
    with_gradients,
    without_depth,
)

NARROW = Options(width=2)


def test_predictions_of_unlabelled_tasks_alone_and_the_mappings_to_labelled_ones_get_gradients(
    tmp_path,
):
    training = training_of(tmp_path, direct_map, NARROW)
    labelled = ONE & torch.tensor([True, True, False])  # no label of normals
    step, term = step_of(training, labelled), training.plan.terms["it"]
    found = with_gradients(step, term)
    assert torch.equal(found, ~labelled & labelled.any(1, keepdim=True))
    sum(loss.sum() for loss in term.loss(step).values()).backward()
    for name, network in term.maps.networks.items():
        reached = [p.grad is not None for p in network.parameters()]
        assert set(reached) == {not name.endswith(">normals")}


def test_with_all_sources_labelled_predictions_are_mapped_too(tmp_path):
    training = training_of(tmp_path, direct_map, Options(width=2, sources="all"))
    full = torch.ones_like(ONE)
    assert with_gradients(step_of(training, full), training.plan.terms["it"]).all()
    assert not with_gradients(
        step_of(training, full), direct_map.build(training.plan.tasks, None, NARROW)
    ).any()


def test_a_mapping_learns_to_predict_another_tasks_labels(tmp_path):
    options = Options(width=4, listed=(("normals", "depth"),), learning_rate=5e-2)
    training = training_of(tmp_path, direct_map, options, learning_rate=1e-5)
    step, term = step_of(training), training.plan.terms["it"]
    losses = [term.loss(step)["direct"].sum().item()]
    for index in range(24):
        training.train_step(step.batch, index)
    losses.append(term.loss(step_of(training))["direct"].sum().item())
    assert losses[-1] < 0.5 * losses[0]


def test_listed_pairs_alone_have_mappings_and_losses(tmp_path):
    training = training_of(tmp_path, direct_map, Options(width=2, listed=(("depth", "normals"),)))
    term = training.plan.terms["it"]
    assert list(term.maps.networks) == ["depth>normals"]
    assert (term.loss(step_of(training))["direct"] > 0).tolist() == ONE[:, 2].tolist()


def test_a_pair_that_is_none_is_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r"terms\.direct_map\.listed has .* not a pair of two tasks"
    ):
        training_of(tmp_path, direct_map, Options(width=2, listed=(("depth", "sound"),)))


def test_the_mappings_have_a_learning_rate_of_their_own(tmp_path):
    training = training_of(tmp_path, direct_map, Options(width=2, learning_rate=2e-3), epochs=1)
    training._set_rates()
    assert [group["lr"] for group in training.optimiser.param_groups] == pytest.approx([1e-3, 2e-3])
    counts = [sum(p.numel() for p in group["params"]) for group in training.optimiser.param_groups]
    assert counts[1] == sum(p.numel() for p in training.plan.terms["it"].parameters())


def test_a_batch_without_any_label_has_no_loss_and_trains(tmp_path):
    training = training_of(tmp_path, direct_map, NARROW)
    step = step_of(training, torch.zeros_like(ONE))
    found = training.plan.terms["it"].loss(step)["direct"]
    assert found.shape == (6,) and not found.any()
    training.train_step(step.batch, 0)


def test_one_labelled_image_alone_has_its_pairs(tmp_path):
    training = training_of(tmp_path, direct_map, NARROW)
    found = training.plan.terms["it"].loss(step_of(training, ONE & (torch.arange(6) == 2)[:, None]))
    assert (found["direct"] > 0).tolist() == [i == 2 for i in range(6)]


def test_a_depth_map_without_a_valid_pixel_is_no_label(tmp_path):
    training = training_of(tmp_path, direct_map, NARROW)
    found = training.plan.terms["it"].loss(step_of(training, change=without_depth))["direct"]
    assert torch.isfinite(found).all() and (found > 0).tolist() == (~ONE[:, 1]).tolist()


def test_values_of_missing_labels_have_no_effect(tmp_path):
    training = training_of(tmp_path, direct_map, NARROW)
    term = training.plan.terms["it"]
    losses = [
        term.loss(step_of(training, change=change))["direct"]
        for change in (lambda targets: targets, garbage)
    ]
    assert torch.equal(*losses) and losses[0].any()


def test_with_one_task_it_does_nothing_and_says_so(tmp_path):
    alone(tmp_path, direct_map, NARROW)
