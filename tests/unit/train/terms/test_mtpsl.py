"""MTPSL: what its gradients reach, what keeps its mapping from a constant, its pairs, and bad input."""

import copy
from dataclasses import replace

import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.data.loader import train_batch
from labelgrid.pixel.target import Target
from labelgrid.recipes.resolve import load_recipe
from labelgrid.testing.trainings import OPTIONS, dataset, trainer
from labelgrid.train.joint_space import level_of_stride
from labelgrid.train.objective import fixed_weights, supervised_loss, task_losses
from labelgrid.train.pairs import Pairs
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.mtpsl import Options, build
from tests.support import make_dataset
from tests.toys import toy_plan
from tests.unit.train.terms.stepped import Said, prepared

COVERS = ["labelgrid.train.joint_space"]
LIGHT = Options(mapping="light")
ONE = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).bool()


def training_of(folder, options=LIGHT, **changes):
    made = dataset(folder)
    return trainer(made, lambda tasks, network: build(tasks, network, options), batch=6, **changes)


def step_of(training, labelled=ONE, change=lambda targets: targets, number=0):
    """The term's step for a batch whose images have these labels.

    `change` may spoil the targets.
    """
    plan = training.plan
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    targets = change({n: t.where(labelled[:, i]) for i, (n, t) in enumerate(batch.targets.items())})
    batch = replace(batch, targets=targets)
    with seed_torch(0, "forward"):
        output = plan.network.train()(batch.images)
    losses = task_losses(plan.tasks, output, targets, 1.0)
    return training.terms.steps(batch, output, losses, number)["it"]


def total(losses):
    return sum(loss.sum() for loss in losses.values())


def test_predictions_of_unlabelled_tasks_alone_get_gradients_and_features_none(tmp_path):
    training = training_of(tmp_path)
    step, names = step_of(training), list(training.plan.tasks)
    loss = total(training.plan.terms["it"].loss(step))
    finals = torch.autograd.grad(loss, [step.output.final[n] for n in names], retain_graph=True)
    for column, gradient in enumerate(finals):
        assert gradient.flatten(1).any(1).tolist() == (~ONE[:, column]).tolist()
    (deepest,) = torch.autograd.grad(
        training.plan.terms["it"].loss(replace(step, output=cut(step.output)))["regulariser"].sum(),
        [step.output.features.deepest],
        allow_unused=True,
    )
    assert deepest is None


def test_a_finer_joint_space_is_compared_with_the_encoders_map_of_its_stride(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, stride=8))
    codes = training.plan.terms["it"].codes(step_of(training))  # images of 32×64 pixels
    assert codes.sources.shape[1:] == codes.features.shape[1:] and codes.features.shape[2:] == (
        4,
        8,
    )
    with pytest.raises(RecipeError, match="no map with this stride") as caught:
        level_of_stride([4, 16, 32], 8, "mtpsl")
    assert "4, 16, 32" in str(caught.value)


def cut(output):
    """The output with predictions without a graph: what is left of the gradients goes through the features."""
    return replace(output, final={name: raw.detach() for name, raw in output.final.items()})


@pytest.mark.parametrize("branch", [0, 1], ids=["prediction", "label"])
def test_the_mapping_learns_from_both_maps_of_a_pair(tmp_path, branch):
    training = training_of(tmp_path, replace(LIGHT, regulariser=0.0))
    step, term = step_of(training), training.plan.terms["it"]
    codes = term.codes(step)
    one = ("sources", "targets")[branch]
    total(term.compared(replace(codes, **{one: getattr(codes, one).detach()}))).backward()
    assert all(
        layer.weight.grad.any()
        for layer in (term.mapping.first.convolution, term.mapping.rest[-2].convolution)
    )


def test_a_constant_mapping_is_consistent_and_the_regulariser_keeps_from_it(tmp_path):
    training = training_of(tmp_path)
    step, term = step_of(training), training.plan.terms["it"]
    last = term.mapping.rest[-2]
    with torch.no_grad():
        last.scale.zero_()
        last.shift.fill_(1.0)
    found = term.loss(step)
    torch.testing.assert_close(found["consistency"], torch.zeros(6), atol=1e-6, rtol=0)
    deepest = step.output.features.deepest.detach()
    best = 1 - torch.nn.functional.normalize(deepest, dim=1).mean((2, 3)).norm(
        dim=1
    )  # the least of any constant map
    assert bool((best > 0.01).all())
    pairs = 2 / 2  # one label of three tasks: two pairs, divided by two unlabelled tasks
    assert bool((found["regulariser"] >= 2 * pairs * best - 1e-5).all())


def test_without_the_regulariser_nothing_is_left_of_it(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, regulariser=0.0))
    found = training.plan.terms["it"].loss(step_of(training))
    assert not found["regulariser"].any() and bool((found["consistency"] > 0).all())


def test_listed_pairs_are_the_only_ones(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, listed=(("depth", "normals"),)))
    found = training.plan.terms["it"].loss(step_of(training))["consistency"]
    assert (found > 0).tolist() == ONE[:, 2].tolist()


@pytest.mark.parametrize("pair", [("depth", "depth"), ("depth", "sound")])
def test_a_pair_that_is_none_is_refused(tmp_path, pair):
    with pytest.raises(
        RecipeError,
        match=r"terms\.mtpsl\.listed has .* not a pair of two tasks(.|\n)*Nothing was trained",
    ):
        training_of(tmp_path, replace(LIGHT, listed=(pair,)))


def test_learnt_pairs_count_by_how_much_nearer_the_maps_of_one_image_are(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, pairs="learnt"))
    step, term = step_of(training), training.plan.terms["it"]
    plain = training_of(tmp_path / "plain").plan.terms["it"]
    plain.load_state_dict(term.state_dict())
    torch.testing.assert_close(
        term.loss(step), plain.loss(step)
    )  # at the start all pairs count alike
    before = term.contrasts.clone()
    term.after_step(step)
    changed = (term.contrasts != before).nonzero().tolist()
    assert changed == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    term.contrasts.zero_()[0, 1] = 0.2
    pairs = Pairs(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(1))
    weights = term._weights(pairs)
    assert weights[0] == pytest.approx(6 * 7.389056 / (7.389056 + 5), rel=1e-4) and weights[1] < 1


def test_contrasts_move_to_the_distance_of_another_image_s_map_beyond_that_of_the_own_one(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, pairs="learnt"))
    step, term = step_of(training), training.plan.terms["it"]
    term.contrasts.fill_(0.5)
    codes = term.codes(step)
    term.compared(codes)
    term.after_step(step)
    for source, target in ((s, t) for s in range(3) for t in range(3) if s != t):
        first, second = ((codes.pairs.source == source) & (codes.pairs.target == target)).nonzero()[
            :, 0
        ]
        apart = [
            1 - torch.cosine_similarity(codes.sources[i], codes.targets[j], dim=0).mean()
            for i, j in ((first, second), (second, first), (first, first), (second, second))
        ]
        contrast = (apart[0] + apart[1] - apart[2] - apart[3]) / 2
        torch.testing.assert_close(
            term.contrasts[source, target], 0.99 * 0.5 + 0.01 * contrast.detach()
        )
    assert term.contrasts.diag().tolist() == [0.5] * 3


def test_learnt_weights_multiply_both_losses_of_a_pair(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, pairs="learnt"))
    step, term = step_of(training), training.plan.terms["it"]
    codes = term.codes(step)
    alike = term.compared(codes)
    term.contrasts[0, 1], term.contrasts[2, 0] = 0.2, -0.1
    weights = term._weights(codes.pairs)
    assert len(weights.unique()) == 3
    for name, losses in term.compared(codes).items():
        torch.testing.assert_close(losses, weights * alike[name], msg=name)


def test_a_batch_without_any_label_has_no_loss_and_trains(tmp_path):
    training = training_of(tmp_path)
    step = step_of(training, torch.zeros_like(ONE))
    assert not any(loss.any() for loss in training.plan.terms["it"].loss(step).values())
    training.train_step(step.batch, 0)


def test_one_image_alone_has_its_pairs(tmp_path):
    training = training_of(tmp_path)
    found = training.plan.terms["it"].loss(step_of(training, ONE & (torch.arange(6) == 2)[:, None]))
    assert (found["consistency"] > 0).tolist() == [i == 2 for i in range(6)]


def test_a_depth_map_without_a_valid_pixel_is_no_label(tmp_path):
    def invalid(targets):
        depth = targets["depth"]
        return targets | {"depth": Target(depth.value * float("nan"), depth.valid & False)}

    training = training_of(tmp_path)
    found = training.plan.terms["it"].loss(step_of(training, change=invalid))
    assert all(torch.isfinite(loss).all() for loss in found.values())
    assert (found["consistency"] > 0).tolist() == (~ONE[:, 1]).tolist()


def test_with_one_task_it_does_nothing_and_says_so(tmp_path):
    made = make_dataset(tmp_path, n=6, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, OPTIONS)
    plan = replace(plan, terms={"it": build(plan.tasks, plan.network, replace(LIGHT, view="crop"))})
    training = trainer(made, lambda tasks, network: plan.terms["it"], batch=6)
    said = Said()
    plan.terms["it"].prepare(prepared(plan, said))
    assert said.lines == [
        "The term 'mtpsl' compares pairs of tasks: with one task it does nothing."
    ]
    step = step_of(training, torch.ones(6, 1, dtype=torch.bool))
    assert not step.views and not any(loss.any() for loss in plan.terms["it"].loss(step).values())


def test_its_parts_have_learning_rates_of_their_own(tmp_path):
    options = replace(LIGHT, learning_rate=2e-3, condition_rate=4e-3, condition_halve=0.25)
    training = training_of(tmp_path, options, epochs=8)
    rates = []
    for training.epoch in range(8):
        training._set_rates()
        rates.append([group["lr"] for group in training.optimiser.param_groups])
    decay = [(1 - epoch / 8) ** 0.9 for epoch in range(8)]
    assert [r[0] for r in rates] == pytest.approx([1e-3 * d for d in decay])
    assert [r[1] for r in rates] == pytest.approx([2e-3 * d for d in decay])
    assert [r[2] for r in rates] == [4e-3, 4e-3, 2e-3, 2e-3, 1e-3, 1e-3, 5e-4, 5e-4]
    counts = [sum(p.numel() for p in group["params"]) for group in training.optimiser.param_groups]
    mapping = training.plan.terms["it"].mapping
    assert (
        counts[2] == sum(p.numel() for p in mapping.conditional()) == 2 * 9 * (16 + 32 + 64 + LAST)
    )
    assert counts[1] + counts[2] == sum(p.numel() for p in mapping.parameters())


def test_conditions_of_pairs_without_a_label_do_not_decay(tmp_path):
    training = training_of(tmp_path, LIGHT, optimiser="adam", weight_decay=0.1, epochs=8)
    term = training.plan.terms["it"]
    step = step_of(training, torch.tensor([[False, True, False]]).expand(6, -1))  # depth alone
    for _ in range(5):
        training.train_step(step.batch, 0)
    used = {3 * s + 1 for s in (0, 2)} | {
        3 + s for s in (0, 2)
    }  # to depth; from depth, for its own maps
    for parameter, start in (
        (layer.scale, 1.0) for layer in (term.mapping.first, term.mapping.rest[-2])
    ):
        changed = (parameter != start).any(1)
        assert {i for i, one in enumerate(changed.tolist()) if one} == used


#: The channels of the toy encoder's deepest map.
LAST = 64


def test_a_crop_compares_on_a_further_view(tmp_path):
    training = training_of(tmp_path, replace(LIGHT, view="crop", zooms=(1.5,)))
    step, term = step_of(training), training.plan.terms["it"]
    batch, output = step.views["crop"]
    assert batch.images.shape == step.batch.images.shape and not torch.equal(
        batch.images, step.batch.images
    )
    (nothing,) = torch.autograd.grad(
        total(term.loss(step)), [step.output.features.deepest], retain_graph=True, allow_unused=True
    )
    (something,) = torch.autograd.grad(total(term.loss(step)), [output.features.shared])
    assert nothing is None and something.any()


def test_mirrored_crops_are_crops_of_the_mirrored_image_and_its_labels(tmp_path):
    options = replace(LIGHT, view="crop", zooms=(1.0,), flip=0.5)
    everything = torch.ones_like(ONE)
    step = step_of(training_of(tmp_path, options), everything, number=3)
    batch, _ = step.views["crop"]
    mirrored = [
        not torch.equal(*images) for images in zip(batch.images, step.batch.images, strict=True)
    ]
    assert 0 < sum(mirrored) < 6
    for row, turned in enumerate(mirrored):
        images, depth, normals = (
            tensor[row].flip(-1) if turned else tensor[row]
            for tensor in (
                step.batch.images,
                *(step.batch.targets[n].value for n in ("depth", "normals")),
            )
        )
        assert torch.equal(batch.images[row], images)
        assert torch.equal(batch.targets["depth"].value[row], depth)
        signs = torch.tensor([-1.0 if turned else 1.0, 1.0, 1.0]).view(3, 1, 1)
        assert torch.equal(batch.targets["normals"].value[row], signs * normals)
        valid = step.batch.targets["semseg"].valid[row]
        assert torch.equal(batch.targets["semseg"].valid[row], valid.flip(-1) if turned else valid)


def test_each_pair_may_have_its_own_sample_of_the_classes(tmp_path):
    labelled = torch.tensor([[False, True, True]]).expand(
        6, -1
    )  # two pairs from the classes of each image
    apart = {}
    for draw in ("image", "pair"):
        training = training_of(tmp_path / draw, replace(LIGHT, condition="none", draw=draw))
        with torch.no_grad():
            codes = training.plan.terms["it"].codes(step_of(training, labelled))
        first, second = (codes.sources[codes.pairs.target == target] for target in (1, 2))
        apart[draw] = (first - second).abs().max().item()
    assert apart["image"] == 0.0
    assert apart["pair"] > 0.01


def test_one_pass_normalises_the_batch_and_its_crop_together(tmp_path):
    training = training_of(
        tmp_path, replace(LIGHT, view="crop", zooms=(1.5,), one_pass=True), known=1.0
    )
    plan, term, steps = training.plan, training.plan.terms["it"], []
    losses = training.terms.losses
    training.terms.losses = lambda found: steps.append(found["it"]) or losses(found)
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    batch = replace(
        batch, targets={n: t.where(ONE[:, i]) for i, (n, t) in enumerate(batch.targets.items())}
    )
    slow, mapping = copy.deepcopy(plan.network).train(), copy.deepcopy(term.mapping)
    training.network.train()
    with seed_torch(0, "forward"):
        training.train_step(batch, 0)
    (step,) = steps
    crop, output = step.views["crop"]
    nothing = {
        n: Target(torch.cat([t.value] * 2), torch.cat([t.valid, t.valid & False]))
        for n, t in batch.targets.items()
    }
    with seed_torch(0, "forward"):
        whole = slow(torch.cat([step.batch.images, crop.images]), nothing)
    first, second = (
        {name: raw[rows] for name, raw in whole.final.items()} for rows in (slice(6), slice(6, 12))
    )
    torch.testing.assert_close((step.output.final, output.final), (first, second))
    torch.testing.assert_close(output.features.deepest, whole.features.deepest[6:])
    assert all(
        len(raw[name]) == 6 for raw in (*output.initial, output.task_features) for name in first
    )
    found = replace(whole, final=second, features=whole.features[6:])
    part = replace(
        whole,
        final=first,
        initial=tuple({n: raw[:6] for n, raw in one.items()} for one in whole.initial),
    )
    weights = fixed_weights(plan.tasks, plan.objective)
    supervision = task_losses(plan.tasks, part, batch.targets, plan.objective.initial)
    supervision = {name: weights[name] * loss for name, loss in supervision.items()}
    term.mapping.load_state_dict(mapping.state_dict())
    other = sum(
        loss.mean() for loss in term.loss(replace(step, views={"crop": (crop, found)})).values()
    )
    (supervised_loss(supervision, ONE, "image_mean") + other).backward()
    for one, wanted in zip(plan.network.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(one.grad, wanted.grad, rtol=1e-4, atol=1e-5)
    for one, wanted in zip(plan.network.buffers(), slow.buffers(), strict=True):
        torch.testing.assert_close(one, wanted)


@pytest.mark.parametrize(
    ("init", "deviation"),
    [("torch", (1 / (3 * 64 * 9)) ** 0.5), ("xavier", (2 / (9 * 128)) ** 0.5)],
)
def test_the_first_weights_are_those_of_the_option(tmp_path, init, deviation):
    term = training_of(tmp_path, Options(init=init)).plan.terms["it"]
    weight = term.mapping.first.convolution.weight  # of SegNet: 64 to 64 channels
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)


def test_the_released_recipe_has_the_choices_of_the_released_code():
    recipe = load_recipe("mtpsl-released")
    released = {
        "weight": 2.0,
        "regulariser": 1.0,
        "condition": "pair",
        "divide": False,
        "view": "crop",
        "one_pass": True,
        "draw": "pair",
    }
    assert recipe.terms == {
        "mtpsl": {**released, "init": "xavier", "condition_rate": 1e-3, "condition_halve": 0.15}
    }
    train = recipe.train
    assert (train.epochs, train.batch, train.optimiser, train.learning_rate, train.halve) == (
        200,
        2,
        "adam",
        1e-4,
        0.5,
    )
    assert (recipe.data.size, recipe.data.zoom, recipe.data.flip) == (
        (288, 384),
        (1.0, 1.2, 1.5),
        0.0,
    )
    assert (
        recipe.network.name == "segnet"
        and train.weight_decay == 0
        and set(recipe.objective.weights.values()) == {1.0}
    )


def test_of_the_released_recipes_cityscapes_alone_mirrors_the_second_view():
    assert load_recipe("mtpsl-cityscapes").terms["mtpsl"]["flip"] == 0.5
    assert "flip" not in load_recipe("mtpsl-released").terms["mtpsl"]


def test_mtan_and_uncertainty_weights_are_those_of_the_public_code_in_the_recipe_of_the_tables():
    from labelgrid.lab.simulation.study_recipe import study_of

    arms = study_of("mtpsl-tables-nyuv2").arms
    network = arms["full-mtan"].changes["network"]
    assert network == {"name": "mtan", "options": {"align": "corners", "dropout": 0.0}}
    for name in ("full-uncertainty", "full-mtpsl-uncertainty"):
        assert arms[name].changes["balance"] == {"name": "uncertainty", "options": {"start": -0.5}}


@pytest.mark.parametrize(
    ("ramp", "number", "share"), [(0.8, 0, 0.0), (0.8, 1, 0.625), (0.5, 1, 1.0), (0.0, 0, 1.0)]
)
def test_both_losses_rise_in_a_line_over_the_ramp(tmp_path, ramp, number, share):
    training = training_of(tmp_path)
    term, step = training.plan.terms["it"], step_of(training, number=number)
    assert step.progress == number / 2
    whole = term.loss(step)
    term.options = replace(LIGHT, ramp=ramp)
    for name, loss in term.loss(step).items():
        torch.testing.assert_close(loss, share * whole[name])
        assert whole[name].any()
