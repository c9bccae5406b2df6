"""A discriminator in a whole round: the loop steps its optimiser, separates its gradients and resumes it."""

from dataclasses import replace

import torch

from labelgrid.project.records import newest_fit
from labelgrid.rounds.models import restore
from labelgrid.train.checkpoint import load
from labelgrid.train.seeding import seed_torch
from labelgrid.train.train_options import TrainOptions
from tests.plugins.discriminator import Discriminator, Options
from tests.rounds import whole_round
from tests.support import make_dataset
from tests.toys import toy_plan, train

NAME = "tests.plugins.discriminator:build"


def test_a_killed_training_resumes_with_the_discriminators_optimiser(tmp_path):
    project, _ = whole_round(tmp_path, {"terms": {NAME: {}}}, step=2, tasks=("semseg", "depth"))
    with project:
        kept = load(project.inside(newest_fit(project.folder).checkpoint))
        state = kept.own[f"{NAME}/judges"]["state"]
        undisturbed = load(tmp_path / "twin" / "flat" / newest_fit(project.folder).checkpoint)
        other = undisturbed.own[f"{NAME}/judges"]["state"]
        assert state and all(float(slot["step"]) == kept.step for slot in state.values())
        assert all(torch.equal(state[i]["exp_avg_sq"], other[i]["exp_avg_sq"]) for i in state)
        judges = restore(project, newest_fit(project.folder))[1].terms[NAME].state_dict()
        assert all(torch.equal(judges[name], value) for name, value in kept.parts[NAME].items())


def trained(folder, judged: bool, weight: float, epochs: int = 15):
    """A training with and without the discriminator's own steps."""
    made = make_dataset(folder / "data", n=4, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, TrainOptions(epochs=epochs, batch=4, learning_rate=1e-3, known=0.0))
    with seed_torch(0, "judges"):
        term = Discriminator(plan.tasks, Options(weight=weight, learning_rate=2e-2))
    if not judged:
        term.judging = lambda step: {}
    seen = []
    real = term.judging
    term.judging = lambda step: seen.append(real(step)) or seen[-1]
    before = {name: value.clone() for name, value in term.state_dict().items()}
    train(replace(plan, terms={"discriminator": term}), folder / f"{judged}-{weight}")
    return (
        plan,
        term,
        before,
        [{name: float(loss.detach().mean()) for name, loss in losses.items()} for losses in seen],
    )


def test_the_discriminator_learns_to_tell_labels_from_predictions_and_only_by_its_own_steps(
    tmp_path,
):
    _, term, before, losses = trained(tmp_path, True, 0.0)
    assert losses[-1]["depth"] < 0.7 * losses[0]["depth"]
    assert any(not torch.equal(before[name], value) for name, value in term.state_dict().items())
    _, term, before, _ = trained(tmp_path, False, 1.0, epochs=2)
    assert all(torch.equal(before[name], value) for name, value in term.state_dict().items())


def test_judging_leaves_the_network_as_it_is_where_its_own_loss_weighs_nothing(tmp_path):
    first, second = (
        trained(tmp_path, judged, 0.0, epochs=2)[0].network.state_dict() for judged in (True, False)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = trained(tmp_path, True, 1.0, epochs=2)[0].network.state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)
