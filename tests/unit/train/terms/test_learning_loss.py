"""The ranking loss against float64 and finite differences.

What it teaches, and for how long it changes the network.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.data.loader import train_batch
from labelgrid.nets.network import Features
from labelgrid.testing.trainings import dataset, trainer
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.learning_loss import LearningLoss, Options, build, ranking_loss
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from tests.support import make_dataset
from tests.toys import DATA, toy_plan, train

WEIGHTS = {"semseg": 1.0, "depth": 0.25, "normals": 10.0}


def slow(predicted, losses, present, margin):
    """The mean over the pairs that count, one by one."""
    hinges = []
    for i in range(len(predicted) // 2):
        j = len(predicted) - 1 - i
        tasks = [k for k in range(losses.shape[1]) if present[i, k] and present[j, k]]
        if tasks:
            gap = sum(losses[i, k] - losses[j, k] for k in tasks)
            sign = 1 if gap > 0 else -1
            hinges.append(max(0.0, margin - sign * (predicted[i] - predicted[j])))
    return sum(hinges) / len(hinges) if hinges else 0.0


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("tasks", [1, 3])
def test_the_ranking_loss_is_that_of_its_pairs_one_by_one(count, tasks):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        predicted, present = rng.normal(size=count), rng.random((count, tasks)) < 0.8
        losses = rng.integers(0, 4, (count, tasks)) / 2.0  # many are equal
        spoilt = torch.from_numpy(np.where(present, losses, np.nan))
        found = ranking_loss(torch.from_numpy(predicted), spoilt, torch.from_numpy(present), 0.7)
        assert found.shape == (count,)
        np.testing.assert_allclose(found.mean(), slow(predicted, losses, present, 0.7), atol=1e-12)
        if count % 2:
            assert found[count // 2] == 0, "the middle image has no partner"


def test_equal_losses_count_as_if_the_first_were_the_smaller():
    found = [
        ranking_loss(
            torch.tensor(predicted), torch.ones(2, 1), torch.ones(2, 1, dtype=torch.bool), 1.0
        ).mean()
        for predicted in ([0.0, 2.0], [2.0, 0.0])
    ]
    assert found == [0.0, 3.0]


def test_its_gradient_is_that_of_finite_differences_and_reaches_the_predictions_alone():
    torch.manual_seed(0)
    predicted = torch.randn(7, dtype=torch.float64, requires_grad=True)
    losses, present = (
        torch.rand(7, 2, dtype=torch.float64, requires_grad=True),
        torch.rand(7, 2) < 0.8,
    )
    assert torch.autograd.gradcheck(
        lambda x: ranking_loss(x, losses, present, 1.0).mean(), predicted
    )
    ranking_loss(predicted, losses, present, 1.0).mean().backward()
    assert losses.grad is None and predicted.grad.abs().sum() > 0


def step_of(folder, options, number):
    """A training with the term, a batch with gaps in its labels, and the term's step of this number, of two."""
    made = dataset(folder)
    made.label(made.names[1], "depth").unlink()
    training = trainer(made, lambda tasks, network: build(tasks, network, options), batch=6)
    plan = training.plan = replace(training.plan, objective=ObjectiveOptions(weights=WEIGHTS))
    training.terms.plan = plan
    batch = train_batch(plan.source, plan.definitions, made.names, plan.data, seed=0, soft={})
    with seed_torch(0, "forward"):
        output = plan.network.train()(batch.images)
    losses = task_losses(plan.tasks, output, batch.targets, 1.0)
    assert plan.steps == 2
    return training, training.terms.steps(batch, output, losses, number)["it"]


def by_hand(module, maps):
    """The module's predictions in float64."""
    hidden = []
    for layer, x in zip(module.layers, maps, strict=True):
        mean = x.detach().double().numpy().mean((2, 3))
        hidden.append(
            np.maximum(
                mean @ layer.weight.detach().double().numpy().T
                + layer.bias.detach().double().numpy(),
                0,
            )
        )
    last = module.last
    return (
        np.concatenate(hidden, 1) @ last.weight.detach().double().numpy()[0]
        + last.bias.detach().double().numpy()
    )


@pytest.mark.parametrize("predict", ["tasks", "image"])
def test_its_losses_are_those_of_a_slow_version_in_float64(tmp_path, predict):
    training, step = step_of(tmp_path, Options(predict=predict, width=8, weight=0.5), 0)
    term = training.plan.terms["it"]
    losses = np.stack(
        [step.losses[name].detach().double().numpy() * WEIGHTS[name] for name in step.tasks], 1
    )
    present = np.stack([step.batch.targets[name].present.numpy() for name in step.tasks], 1)
    assert not present.all()
    found = {name: loss.mean().item() for name, loss in term.loss(step).items()}
    if predict == "image":
        predicted = by_hand(term.predictors["image"], step.output.features.levels)
        assert found == {
            "image": pytest.approx(0.5 * slow(predicted, losses, present, 1.0), rel=1e-4)
        }
        return
    wanted = {}
    for k, name in enumerate(step.tasks):
        predicted = by_hand(term.predictors[name], [step.output.task_features[name]])
        wanted[name] = pytest.approx(
            0.5 * slow(predicted, losses[:, [k]], present[:, [k]], 1.0), rel=1e-4
        )
    assert found == wanted


@pytest.mark.parametrize("predict", ["tasks", "image"])
def test_it_changes_the_network_until_the_given_share_of_the_training(tmp_path, predict):
    changed = {}
    for number in (0, 1):
        training, step = step_of(
            tmp_path / str(number), Options(predict=predict, width=8, detach=0.5), number
        )
        term, network = training.plan.terms["it"], training.network
        torch.stack([loss.mean() for loss in term.loss(step).values()]).sum().backward()
        assert all(
            p.grad is not None and p.grad.abs().sum() > 0
            for p in [m.last.weight for m in term.predictors.values()]
        )
        changed[step.progress] = any(
            p.grad is not None and p.grad.any() for p in network.encoder.parameters()
        )
    assert changed == {0.0: True, 0.5: False}


def test_with_detach_0_the_network_never_learns_from_it(tmp_path):
    made = make_dataset(tmp_path / "data", n=4, size=(32, 64), tasks=("depth",))
    options, weights = TrainOptions(epochs=2, batch=4), []
    for weight, detach in ((0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        plan, _ = trained(
            made, tmp_path / f"{weight} {detach}", options, Options(weight=weight, detach=detach)
        )
        weights.append(plan.network.state_dict())
    same = [all(torch.equal(weights[0][name], one[name]) for name in one) for one in weights]
    assert same == [True, True, False]


@pytest.mark.parametrize("predict", ["tasks", "image"])
def test_the_module_learns_to_rank_images_by_their_loss(tmp_path, predict):
    """The network is frozen, so that what is to be ranked stays the same."""
    made = make_dataset(tmp_path / "data", n=12, size=(32, 32), tasks=("depth",))
    options = TrainOptions(epochs=40, batch=12, learning_rate=2e-2, known=0.0, power=0.0)
    plan, term = trained(
        made, tmp_path / "fit", options, Options(predict=predict, width=16), frozen=True
    )
    assert agreement(plan, term) > 0.62  # 0.5 by chance


def trained(made, folder, options, chosen, *, frozen=False):
    plan = toy_plan(made, options, data=replace(DATA, flip=0.0, zoom=(1.0,)), net="shared_heads")
    plan.network.requires_grad_(not frozen)
    with seed_torch(0, "module"):
        term = LearningLoss(plan.tasks, plan.network, chosen)
    train(replace(plan, terms={"learning_loss": term}), folder)
    return plan, term


def agreement(plan, term):
    """The share of pairs of images that the module orders as their losses do, over ten views of all images."""
    shares = []
    for seed in range(10):
        batch = train_batch(
            plan.source, plan.definitions, plan.train, plan.data, seed=seed, soft={}
        )
        with torch.inference_mode(), seed_torch(seed, "agreement"):
            output = plan.network.train()(batch.images)
            losses = task_losses(plan.tasks, output, batch.targets, plan.objective.initial)["depth"]
            predicted = term.predict(output.features, lambda output=output: output.task_features)[
                :, 0
            ]
        one, other = torch.triu_indices(len(losses), len(losses), 1)
        same = torch.sign(losses[one] - losses[other]) == torch.sign(
            predicted[one] - predicted[other]
        )
        shares.append(float(same.float().mean()))
    return sum(shares) / len(shares)


def test_an_images_prediction_is_given_for_all_tasks_and_needs_no_heads(tmp_path):
    training, step = step_of(tmp_path, Options(predict="image"), 0)
    features: Features = step.output.features
    predicted = training.plan.terms["it"].predict(
        features, lambda: pytest.fail("the heads were run")
    )
    assert (
        predicted.shape == (6, 3)
        and (predicted == predicted[:, :1]).all()
        and predicted[:, 0].unique().numel() > 1
    )


@pytest.mark.parametrize("training", [True, False])
def test_building_it_leaves_the_network_as_it_was(tmp_path, training):
    plan = toy_plan(dataset(tmp_path), TrainOptions(epochs=1))
    before = {
        name: value.clone() for name, value in plan.network.train(training).state_dict().items()
    }
    build(plan.tasks, plan.network, Options())
    assert plan.network.training == training
    assert all(
        torch.equal(value, before[name]) for name, value in plan.network.state_dict().items()
    )
