"""JTR: what its gradients reach, its views and scales, and bad input.

Its equations are in tests/reference.
"""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.recipes.resolve import load_recipe
from labelgrid.testing.trainings import OPTIONS, trainer
from labelgrid.train.terms import jtr
from labelgrid.train.terms.jtr import Options, build
from tests.support import make_dataset
from tests.toys import toy_plan
from tests.unit.train.terms import stepped
from tests.unit.train.terms.stepped import ONE, Said, prepared, step_of, without_depth

SMALL = Options(width=4)
NAMES = ("semseg", "depth", "normals")


def training_of(folder, options=SMALL, **changes):
    return stepped.training_of(folder, jtr, options, **changes)


def gradients(loss, tensors):
    return torch.autograd.grad(loss.sum(), tensors, allow_unused=True, retain_graph=True)


def reached(found):
    return [gradient is not None and bool(gradient.any()) for gradient in found]


def test_the_network_learns_from_the_first_view_for_unlabelled_tasks_alone(tmp_path):
    training = training_of(tmp_path)
    term, step = training.plan.terms["it"], step_of(training)
    losses = term.loss(step)
    outputs = {view: [output.final[n] for n in NAMES] for view, (_, output) in step.views.items()}
    for column, gradient in enumerate(gradients(losses["distance"], outputs["first"])):
        assert gradient.flatten(1).any(1).tolist() == (~ONE[:, column]).tolist()
    for name in ("codes", "reconstruction"):
        assert not losses[name].requires_grad or not any(
            reached(
                gradients(
                    losses[name],
                    [*training.network.parameters(), *outputs["first"], *outputs["second"]],
                )
            )
        )
    assert not any(
        reached(gradients(losses["distance"], [*outputs["second"], *step.output.final.values()]))
    )


def test_the_auto_encoder_is_constant_in_the_first_view_and_learns_from_the_second(tmp_path):
    training = training_of(tmp_path)
    term = training.plan.terms["it"]
    losses, before = (
        term.loss(step_of(training)),
        {n: x.clone() for n, x in term.state_dict().items()},
    )
    down, up = (
        list(term.encoder.body.first.parameters()),
        list(term.encoder.body.first_up.parameters()),
    )
    kernels = [p for p in (*down, *up) if p.dim() == 4]
    assert not any(reached(gradients(losses["distance"], list(term.parameters()))))
    assert reached(gradients(losses["codes"], kernels)) == [True] * 5 + [False] * 5
    assert reached(gradients(losses["reconstruction"], kernels)) == [True] * 10
    assert all(torch.equal(before[n], x) for n, x in term.state_dict().items()), (
        "nothing is counted in a pass"
    )


def test_the_errors_as_released_change_the_reconstruction_alone(tmp_path):
    training = training_of(tmp_path)
    term, step = training.plan.terms["it"], step_of(training)
    mean = term.loss(step)
    term.options = replace(SMALL, errors="released")
    released = term.loss(step)
    assert not torch.equal(mean["reconstruction"], released["reconstruction"])
    assert all(torch.equal(mean[name], released[name]) for name in ("distance", "codes"))


def test_with_full_labels_the_network_gets_no_gradient(tmp_path):
    training = training_of(tmp_path)
    term, step = training.plan.terms["it"], step_of(training, torch.ones_like(ONE))
    losses = term.loss(step)
    total = sum(loss.sum() for loss in losses.values())
    assert not any(reached(gradients(total, list(training.network.parameters()))))
    assert (
        all(bool((loss > 0).all()) for loss in losses.values())
        and not losses["distance"].requires_grad
    )


def test_an_image_counts_if_it_has_a_label_and_a_batch_without_any_trains(tmp_path):
    training = training_of(tmp_path)
    term, some = training.plan.terms["it"], ONE & (torch.arange(6) == 2)[:, None]
    assert all(
        (loss > 0).tolist() == [i == 2 for i in range(6)]
        for loss in term.loss(step_of(training, some)).values()
    )
    step = step_of(training, torch.zeros_like(ONE))
    assert not any(loss.any() for loss in term.loss(step).values())
    training.train_step(step.batch, 0)


def test_a_depth_map_without_a_valid_pixel_is_no_label(tmp_path):
    training = training_of(tmp_path)
    found = training.plan.terms["it"].loss(step_of(training, change=without_depth))
    assert all(torch.isfinite(loss).all() for loss in found.values())
    assert (found["distance"] > 0).tolist() == (~ONE[:, 1]).tolist()


def test_with_one_task_it_does_nothing_and_says_so(tmp_path):
    made = make_dataset(tmp_path, n=6, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, OPTIONS)
    plan = replace(plan, terms={"it": build(plan.tasks, plan.network, SMALL)})
    training = trainer(made, lambda tasks, network: plan.terms["it"], batch=6)
    said = Said()
    plan.terms["it"].prepare(prepared(plan, said))
    assert said.lines == ["The term 'jtr' compares pairs of tasks: with one task it does nothing."]
    step = step_of(training, torch.ones(6, 1, dtype=torch.bool))
    assert not step.views and not any(loss.any() for loss in plan.terms["it"].loss(step).values())


def test_moments_are_those_of_the_training_labels_unless_they_are_given(tmp_path):
    training = training_of(tmp_path)
    training.prepare(tmp_path / "terms", Silent(), resumed=False)
    term = training.plan.terms["it"]
    depths = torch.cat(
        [t.value[t.valid] for batch in training._batches(-1) for t in [batch.targets["depth"]]]
    ).double()
    torch.testing.assert_close(term.means, torch.tensor([0.0, float(depths.mean()), 0.0]))
    torch.testing.assert_close(
        term.deviations, torch.tensor([1.0, float(depths.std(correction=0)), 1.0])
    )
    torch.testing.assert_close(term.colour_mean, torch.tensor(training.plan.data.mean))
    given = training_of(tmp_path / "given", replace(SMALL, mean=2.3618, deviation=1.5876))
    given.prepare(tmp_path / "more", Silent(), resumed=False)
    assert given.plan.terms["it"].means.tolist() == pytest.approx([2.3618] * 3)


def test_views_are_two_crops_with_other_colours_or_the_batch(tmp_path):
    training = training_of(tmp_path, replace(SMALL, zooms=(1.5,), operations=4, levels=31))
    step = step_of(training)
    (first, _), (second, _) = step.views["first"], step.views["second"]
    assert first.images.shape == step.batch.images.shape and not torch.equal(
        first.images, second.images
    )
    assert not torch.equal(first.targets["depth"].value, second.targets["depth"].value)
    plain = training_of(tmp_path / "plain", replace(SMALL, zooms=(1.0,), operations=0))
    step = step_of(plain)
    assert all(torch.equal(batch.images, step.batch.images) for batch, _ in step.views.values())
    assert not step_of(training_of(tmp_path / "batch", replace(SMALL, view="batch"))).views


def test_the_first_view_alone_is_mirrored(tmp_path):
    plain = replace(SMALL, zooms=(1.0,), operations=0)
    step = step_of(training_of(tmp_path, replace(plain, flip=1.0)))
    (first, _), (second, _) = step.views["first"], step.views["second"]
    assert torch.equal(first.images, step.batch.images.flip(-1))
    assert torch.equal(second.images, step.batch.images)
    depth = step.batch.targets["depth"].value
    assert torch.equal(first.targets["depth"].value, depth.flip(-1))


def trained_step(training, folder):
    """The term's step in the first step of a training, and how often it ran the network."""
    seen, losses, passes = [], training.terms.losses, []
    training.terms.losses = lambda steps: seen.append(steps["it"]) or losses(steps)
    training.network.register_forward_hook(lambda *_, **__: passes.append(1))
    training.prepare(folder / "terms", Silent(), resumed=False)
    batch = next(training._batches(0))
    training.train_step(batch, 0)
    return batch, seen[0], len(passes)


@pytest.mark.parametrize("recolour", ["views", "all"])
def test_the_supervised_view_has_other_colours_if_all_are_recoloured_and_crops_are_of_the_first(
    tmp_path, recolour
):
    options = replace(SMALL, zooms=(1.0,), operations=4, levels=31, recolour=recolour)
    batch, step, _ = trained_step(training_of(tmp_path, options), tmp_path)
    assert torch.equal(step.batch.images, batch.images) == (recolour == "views")
    assert torch.equal(step.batch.targets["depth"].value, batch.targets["depth"].value)
    training = training_of(tmp_path / "again", replace(options, recolour="views"))
    views = trained_step(training, tmp_path / "again")[1].views
    for name, (view, _) in step.views.items():
        assert torch.equal(view.images, views[name][0].images), (
            "made of the batch before its colours are changed"
        )


def test_one_pass_predicts_the_batch_and_both_crops(tmp_path):
    assert trained_step(training_of(tmp_path, replace(SMALL, one_pass=True)), tmp_path)[2] == 1
    assert trained_step(training_of(tmp_path / "apart"), tmp_path / "apart")[2] == 3


@pytest.mark.parametrize(
    ("name", "batch", "flips"), [("jtr-released", 4, 0.0), ("jtr-cityscapes", 16, 0.5)]
)
def test_the_released_recipes_have_the_choices_of_the_released_code(name, batch, flips):
    recipe = load_recipe(name)
    moments = {"mean": 2.3618, "deviation": 1.5876}
    mirrored = {"flip": flips} if flips else {}
    chosen = {"recolour": "all", "one_pass": True, "errors": "released"}
    assert recipe.terms == {"jtr": {**moments, **mirrored, **chosen}}
    train = recipe.train
    assert (train.epochs, train.batch, train.halve, train.learning_rate) == (400, batch, 0.5, 1e-4)
    assert (recipe.data.flip, recipe.data.zoom) == (flips, (1.0, 1.2, 1.5))


def test_the_auto_encoder_has_a_learning_rate_of_its_own(tmp_path):
    training = training_of(tmp_path, replace(SMALL, learning_rate=4e-3))
    training._set_rates()
    assert [group["lr"] for group in training.optimiser.param_groups] == [1e-3, 4e-3]
    counts = [sum(p.numel() for p in group["params"]) for group in training.optimiser.param_groups]
    assert counts[1] == sum(p.numel() for p in training.plan.terms["it"].parameters())
