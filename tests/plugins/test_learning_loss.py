"""Learning loss through a whole round: the head learns which images the network does worst on, and comes back."""

from dataclasses import replace

import torch

from labelgrid.progress import Silent
from labelgrid.rounds.models import latest, restore
from labelgrid.train.loop import fit
from labelgrid.train.objective import task_losses
from labelgrid.train.options import TrainOptions
from labelgrid.train.seeding import keyed
from tests.plugins.learning_loss import LearningLoss, Options
from tests.rounds import whole_round
from tests.support import make_dataset
from tests.toys import toy_plan

NAME = "tests.plugins.learning_loss:build"


def test_the_trained_head_is_restored_with_the_model_of_a_killed_training(tmp_path):
    project, _ = whole_round(tmp_path, {"train": {"epochs": 3}, "terms": {NAME: {}}})
    with project:
        context, model = restore(project, latest(project))
        head = model.terms[NAME]
        features = model.network(torch.zeros(2, 3, 32, 64)).task_features
        assert head.predict(features).shape == (2, 3) and not head.training
        with keyed(context.seed, "init", "term", NAME):
            drawn = LearningLoss(context.tasks, model.network, Options())
        assert any(not torch.equal(a, b) for a, b in zip(head.parameters(), drawn.parameters(), strict=True))


def test_the_head_learns_to_rank_images_by_their_loss_and_the_network_does_not_learn_from_it(tmp_path):
    made = make_dataset(tmp_path / "data", n=12, size=(32, 64), tasks=("depth",))
    options = TrainOptions(epochs=60, batch=12, learning_rate=3e-3, known=0.0, power=0.0)
    weights = []
    for weight in (0.0, 1.0):
        plan = toy_plan(made, options)
        with keyed(0, "head"):
            term = LearningLoss(plan.tasks, plan.network, Options(weight=weight))
        fit(replace(plan, terms={"learning": term}), tmp_path / str(weight), Silent())
        weights.append(plan.network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert agreement(plan, term) > 0.65  # 0.5 by chance


def agreement(plan, term):
    """The share of pairs of images that the head orders as their losses do."""
    from labelgrid.data.loader import train_batch

    batch = train_batch(plan.source, plan.definitions, plan.train, plan.data, seed=5, soft={})
    with torch.inference_mode():
        output = plan.network.train()(batch.images)
        losses = task_losses(plan.tasks, output, batch.targets, plan.objective.initial)["depth"]
        predicted = term.predict(output.task_features)[:, 0]
    pairs = torch.triu_indices(len(losses), len(losses), 1)
    same = torch.sign(losses[pairs[0]] - losses[pairs[1]]) == torch.sign(predicted[pairs[0]] - predicted[pairs[1]])
    return float(same.float().mean())
