"""Perceptual-Map: what its gradients reach, what its mappings learn from, and bad input."""

import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.testing.trainings import different, resumes_exactly
from labelgrid.train.terms import perceptual_map
from labelgrid.train.terms.perceptual_map import Options
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


def mappings(training):
    return {
        name: p.detach().clone() for name, p in training.plan.terms["it"].maps.named_parameters()
    }


def changed(before, after):
    """The pairs whose mappings are not bitwise the same."""
    return sorted({name.split(".")[1] for name in different(before, after)})


def test_predictions_of_labelled_tasks_alone_get_gradients(tmp_path):
    training = training_of(tmp_path, perceptual_map, NARROW)
    assert torch.equal(with_gradients(step_of(training), training.plan.terms["it"]), ONE)
    jointly = training_of(tmp_path / "both", perceptual_map, Options(width=2, learn="both"))
    assert torch.equal(with_gradients(step_of(jointly), jointly.plan.terms["it"]), ONE)


def test_a_constant_mapping_has_no_distance_and_therefore_mappings_do_not_learn_from_it(tmp_path):
    training = training_of(tmp_path, perceptual_map, NARROW)
    step, term = step_of(training), training.plan.terms["it"]
    assert bool((term.loss(step)["distance"] > 0).all())
    with torch.no_grad():
        for network in term.maps.networks.values():
            network.last.weight.zero_()
            network.last.bias.fill_(1.0)
    torch.testing.assert_close(term.loss(step)["distance"], torch.zeros(6), atol=1e-5, rtol=0)


def test_the_optimiser_of_its_own_trains_the_mappings_to_labelled_tasks_alone(tmp_path):
    training = training_of(tmp_path, perceptual_map, NARROW)
    labelled = ONE & torch.tensor([True, True, False])  # no label of normals
    before = mappings(training)
    training.train_step(step_of(training, labelled).batch, 0)
    pairs = ["depth>semseg", "normals>depth", "normals>semseg", "semseg>depth"]
    assert changed(before, mappings(training)) == pairs


def test_nothing_but_the_optimiser_of_its_own_changes_the_mappings_and_it_changes_nothing_else(
    tmp_path,
):
    left = []
    for index, weight in enumerate((1.0, 0.0)):
        training = training_of(
            tmp_path / str(index), perceptual_map, Options(width=2, weight=weight)
        )
        before = mappings(training)
        (own,) = training.terms.own.optimisers.values()
        if weight:  # the mappings' own step is left out
            own.step = lambda: None
        torch.manual_seed(0)  # of dropout
        training.train_step(step_of(training).batch, 0)
        left.append(training.network.state_dict())
        assert bool(changed(before, mappings(training))) == (weight == 0)
    assert different(*left), "the distance changes the network"
    plain = training_of(tmp_path / "plain", perceptual_map, Options(width=2, weight=0.0))
    plain.terms.own.declared["it"].clear()
    torch.manual_seed(0)
    plain.train_step(step_of(plain).batch, 0)
    assert not different(left[1], plain.network.state_dict())


def test_its_rate_is_an_option_of_either_optimiser(tmp_path):
    own = training_of(tmp_path, perceptual_map, Options(width=2, learning_rate=3e-3))
    (optimiser,) = own.terms.own.optimisers.values()
    assert [group["lr"] for group in optimiser.param_groups] == [3e-3] and len(
        own.optimiser.param_groups
    ) == 1
    both = training_of(
        tmp_path / "both", perceptual_map, Options(width=2, learning_rate=3e-3, learn="both")
    )
    both._set_rates()
    assert [group["lr"] for group in both.optimiser.param_groups] == pytest.approx([1e-3, 3e-3])


def test_a_mapping_learns_to_predict_another_tasks_labels(tmp_path):
    options = Options(width=4, listed=(("normals", "depth"),), learning_rate=5e-2, weight=0.0)
    training = training_of(tmp_path, perceptual_map, options, learning_rate=1e-5)
    step, term = step_of(training), training.plan.terms["it"]
    losses = [term._direct_losses(step)["direct"].sum().item()]
    for index in range(24):
        training.train_step(step.batch, index)
    losses.append(term._direct_losses(step_of(training))["direct"].sum().item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_training_that_learns_jointly_resumes_exactly(tmp_path):
    options = Options(width=2, learn="both")
    resumes_exactly(
        tmp_path, term=lambda tasks, network: perceptual_map.build(tasks, network, options)
    )


def test_listed_pairs_alone_have_mappings_and_losses(tmp_path):
    training = training_of(
        tmp_path, perceptual_map, Options(width=2, listed=(("depth", "normals"),))
    )
    term = training.plan.terms["it"]
    assert list(term.maps.networks) == ["depth>normals"]
    assert (term.loss(step_of(training))["distance"] > 0).tolist() == ONE[:, 1].tolist()
    with pytest.raises(RecipeError, match=r"terms\.perceptual_map\.listed has"):
        training_of(
            tmp_path / "wrong", perceptual_map, Options(width=2, listed=(("depth", "depth"),))
        )


def test_a_batch_without_any_label_has_no_loss_and_trains(tmp_path):
    training = training_of(tmp_path, perceptual_map, NARROW)
    step, before = step_of(training, torch.zeros_like(ONE)), mappings(training)
    found = training.plan.terms["it"].loss(step)["distance"]
    assert found.shape == (6,) and not found.any()
    training.train_step(step.batch, 0)
    assert not changed(before, mappings(training))


def test_one_labelled_image_alone_has_its_pairs(tmp_path):
    training = training_of(tmp_path, perceptual_map, NARROW)
    step = step_of(training, ONE & (torch.arange(6) == 2)[:, None])
    assert (training.plan.terms["it"].loss(step)["distance"] > 0).tolist() == [
        i == 2 for i in range(6)
    ]
    training.train_step(step.batch, 0)


def test_a_depth_map_without_a_valid_pixel_is_no_label_and_values_of_missing_labels_have_no_effect(
    tmp_path,
):
    training = training_of(tmp_path, perceptual_map, NARROW)
    term = training.plan.terms["it"]
    found = term.loss(step_of(training, change=without_depth))["distance"]
    assert torch.isfinite(found).all() and (found > 0).tolist() == (~ONE[:, 1]).tolist()
    losses = [
        term.loss(step_of(training, change=change))["distance"]
        for change in (lambda targets: targets, garbage)
    ]
    assert torch.equal(*losses)


def test_with_one_task_it_does_nothing_and_says_so(tmp_path):
    alone(tmp_path, perceptual_map, NARROW)
    alone(tmp_path / "both", perceptual_map, Options(width=2, learn="both"))
