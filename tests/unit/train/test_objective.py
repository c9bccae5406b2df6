"""What is minimised: MTPSL eq. 1 and the plain sum, against slow versions.

Deep supervision; weights.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.network import Features, Output
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.objective import (
    fixed_weights,
    image_losses,
    rescale_losses,
    resize_to_target,
    supervised_loss,
    targets_present,
    task_losses,
)
from labelgrid.train.train_options import ObjectiveOptions

TASKS = build_all(definitions([TaskRow("depth", "depth", 1), TaskRow("normals", "normals", 1)]))


def batch(seed=0, b=4, size=(6, 8)):
    rng = np.random.default_rng(seed)
    values = {"depth": rng.uniform(1, 5, (b, 1, *size)), "normals": rng.normal(size=(b, 3, *size))}
    values["normals"] /= np.linalg.norm(values["normals"], axis=1, keepdims=True)
    valid = {name: rng.random((b, 1, *size)) < 0.7 for name in values}
    valid["depth"][0] = False  # image 0 lacks depth, image 1 both
    valid["depth"][1] = valid["normals"][1] = False
    targets = {n: Target(torch.tensor(v), torch.tensor(valid[n])) for n, v in values.items()}
    raws = [
        {
            "depth": torch.tensor(rng.normal(size=(b, 1, *size))),
            "normals": torch.tensor(rng.normal(size=(b, 3, *size))),
        }
        for _ in range(3)
    ]
    empty = Features(torch.zeros(b, 1, 1, 1), (torch.zeros(b, 1, 1, 1),))
    return targets, Output(initial=tuple(raws[1:]), final=raws[0], features=empty, task_features={})


def slow_loss(name, raw, value, valid):
    """One image's loss: the mean over its valid pixels, pixel by pixel, float64."""
    found = []
    for y, x in zip(*np.nonzero(valid[0]), strict=True):
        r, v = raw[:, y, x], value[:, y, x]
        found.append(
            abs(r[0] - v[0]) if name == "depth" else np.abs(r / np.linalg.norm(r) - v).mean()
        )
    return np.mean(found) if found else None


def slow(targets, output, weights, reduction, initial):
    per = {}
    for n, target in targets.items():
        value, valid = target.value.numpy(), target.valid.numpy()
        for i in range(len(value)):
            stages = [
                slow_loss(n, raw[n][i].numpy(), value[i], valid[i])
                for raw in (output.final, *output.initial)
            ]
            if stages[0] is not None:
                per[n, i] = weights[n] * (stages[0] + initial * sum(stages[1:]))
    if reduction.startswith("image"):
        images = [[v for (_, i), v in per.items() if i == k] for k in range(4)]
        if reduction == "image_sum":
            return np.mean([np.sum(found) for found in images])
        return np.mean([np.mean(found) if found else 0.0 for found in images])
    return sum(np.mean([v for (m, _), v in per.items() if m == n]) for n in targets)


def test_the_supervised_loss_is_mtpsl_equation_one_or_a_plain_sum():
    targets, output = batch()
    for reduction in ("image_mean", "image_sum", "task_sum"):
        for initial in (0.0, 1.0, 0.5):
            weights = {"depth": 1.0, "normals": 10.0}
            losses = task_losses(TASKS, output, targets, initial)
            weighted = {n: weights[n] * loss for n, loss in losses.items()}
            found = supervised_loss(weighted, targets_present(targets, list(TASKS)), reduction)
            np.testing.assert_allclose(
                float(found),
                slow(targets, output, weights=weights, reduction=reduction, initial=initial),
                rtol=1e-12,
            )


def test_garbage_behind_an_invalid_mask_changes_no_loss_and_no_gradient():
    targets, output = batch()
    found = []
    for poison in (False, True):
        if poison:
            for target in targets.values():
                target.value.masked_fill_(~target.valid, float("nan"))
        raws = [
            {n: x.clone().requires_grad_() for n, x in raw.items()}
            for raw in (output.final, *output.initial)
        ]
        losses = task_losses(
            TASKS,
            Output(
                initial=tuple(raws[1:]), final=raws[0], features=output.features, task_features={}
            ),
            targets,
            1.0,
        )
        total = supervised_loss(losses, targets_present(targets, list(TASKS)), "image_mean")
        total.backward()
        found.append([total.detach(), *(x.grad for raw in raws for x in raw.values())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_batch_without_a_label_costs_nothing():
    targets, output = batch()
    none = {n: t.where(torch.zeros(4, dtype=torch.bool)) for n, t in targets.items()}
    for reduction in ("image_mean", "image_sum", "task_sum"):
        losses = task_losses(TASKS, output, none, 1.0)
        assert float(supervised_loss(losses, targets_present(none, list(TASKS)), reduction)) == 0.0


def test_only_images_with_a_label_are_computed_and_the_others_get_no_gradient():
    targets, output = batch()
    for name, task in TASKS.items():
        raw, seen = output.final[name].clone().requires_grad_(), []

        def loss(raw, target, task=task, seen=seen):
            seen.append(len(raw))
            return task.loss(raw, target)

        counting, present = SimpleNamespace(loss=loss), targets[name].present
        (losses,) = image_losses(counting, [raw], targets[name])
        losses.sum().backward()
        assert seen == [int(present.sum())] and 0 < seen[0] < 4
        np.testing.assert_array_equal((losses.detach() > 0).numpy(), present.numpy())
        np.testing.assert_array_equal(raw.grad.abs().flatten(1).any(1).numpy(), present.numpy())
        (none,) = image_losses(counting, [raw], targets[name].where(~present))
        assert not none.requires_grad and not none.any() and len(seen) == 1


def test_weights_are_the_kinds_unless_the_recipe_names_them():
    assert fixed_weights(TASKS, ObjectiveOptions()) == {"depth": 1.0, "normals": 10.0}
    assert fixed_weights(TASKS, ObjectiveOptions(weights={"depth": 3.0})) == {
        "depth": 3.0,
        "normals": 10.0,
    }


def test_a_weight_of_no_task_is_refused():
    with pytest.raises(
        RecipeError,
        match=r"objective.weights names edges, which is not a task(.|\n)*depth, normals",
    ):
        fixed_weights(TASKS, ObjectiveOptions(weights={"edges": 1.0, "depth": 2.0}))


def test_raw_outputs_are_brought_to_the_targets_size():
    target = Target(torch.zeros(1, 1, 8, 12), torch.ones(1, 1, 8, 12, dtype=torch.bool))
    assert resize_to_target(torch.zeros(1, 5, 2, 3), target).shape == (1, 5, 8, 12)


def slow_bilinear(values, size):
    """[h, w] at another size, float64: pixels are areas, whose centres lie half a pixel from the sides."""
    sides = zip(size, values.shape, strict=True)
    places = [np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1) for new, old in sides]
    found = np.empty(size)
    for y, down in enumerate(places[0]):
        for x, right in enumerate(places[1]):
            top, left = int(down), int(right)
            below, beside = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
            a, b = down - top, right - left
            upper = (1 - b) * values[top, left] + b * values[top, beside]
            found[y, x] = (1 - a) * upper + a * (
                (1 - b) * values[below, left] + b * values[below, beside]
            )
    return found


def test_raw_outputs_are_resized_as_areas_and_not_from_corner_to_corner():
    raw = torch.tensor(np.random.default_rng(5).normal(size=(1, 2, 3, 4)))
    target = Target(torch.zeros(1, 1, 7, 9), torch.ones(1, 1, 7, 9, dtype=torch.bool))
    expected = np.stack([slow_bilinear(channel, (7, 9)) for channel in raw[0].numpy()])
    np.testing.assert_allclose(
        resize_to_target(raw, target)[0].numpy(), expected, rtol=1e-12, atol=1e-12
    )


def test_a_network_of_one_stage_has_the_loss_of_its_final_outputs():
    targets, output = batch()
    single = Output(initial=(), final=output.final, features=output.features, task_features={})
    found, expected = (task_losses(TASKS, single, targets, initial) for initial in (1.0, 0.0))
    assert all(torch.equal(found[name], expected[name]) for name in TASKS)


def test_a_task_with_one_label_in_the_batch_has_that_labels_loss_in_the_sum():
    values = {"a": [2.0, 3.0, 4.0], "b": [8.0, 16.0, 32.0]}
    losses = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in values.items()}
    present = torch.tensor([[True, True], [True, False], [False, False]])
    assert float(supervised_loss(losses, present, "task_sum")) == 2.5 + 8
    assert float(supervised_loss(losses, present, "image_mean")) == (5 + 3 + 0) / 3


@pytest.mark.parametrize("reduction", ["image_sum", "task_sum"])
def test_rescaled_losses_are_those_of_one_image_at_a_time_times_k_over_its_labels(reduction):
    targets, output = batch()
    losses, present = (
        task_losses(TASKS, output, targets, 1.0),
        targets_present(targets, list(TASKS)),
    )
    assert present.sum(1).unique().tolist() == [0, 1, 2]
    by_image = [
        {
            n: float(loss[i]) * 2 / int(present[i].sum())
            for j, (n, loss) in enumerate(losses.items())
            if present[i, j]
        }
        for i in range(4)
    ]
    if reduction == "image_sum":
        wanted = np.mean([sum(found.values()) for found in by_image])
    else:
        wanted = sum(np.mean([found[n] for found in by_image if n in found]) for n in TASKS)
    found = supervised_loss(rescale_losses(losses, present), present, reduction)
    np.testing.assert_allclose(float(found), wanted, rtol=1e-12)
    if reduction == "image_sum":
        np.testing.assert_allclose(
            float(found), 2 * float(supervised_loss(losses, present, "image_mean")), rtol=1e-12
        )


def test_rescaling_a_mean_over_labels_is_refused():
    with pytest.raises(ValueError, match="rescale needs reduction = 'image_sum' or 'task_sum'"):
        ObjectiveOptions(rescale=True)
