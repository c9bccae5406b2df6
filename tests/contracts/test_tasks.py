"""Laws of every kind of task: each plug-in of labelgrid/tasks/kinds, and the example in examples/."""

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from labelgrid.basics import plugins
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.metrics import Metric
from labelgrid.pixel.target import Target
from labelgrid.tasks.pictures import HATCH, colour_map
from labelgrid.tasks.task import Task, TaskDef, spec_of
from tests.contracts import own
from tests.task_laws import (
    TRUTHS,
    a_flip_undone_is_the_label,
    a_mirrored_prediction_is_that_of_the_image,
    a_prediction_survives_the_label_file,
    disparity,
    mirroring_and_activating_commute,
    views_show_the_world,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = "inverse_depth_task:build"
BATCH, HEIGHT, WIDTH = 4, 6, 7


#: The required options of each label format, and labels [b, c, h, w] that it can hold.
OPTIONS: dict[str, dict[str, object]] = {"classes": {"classes": ["wall", "floor", "bed", "lamp"]}}
LABELS: dict[str, Callable[[torch.Generator], Tensor]] = {
    "classes": lambda rng: torch.randint(4, (BATCH, 1, HEIGHT, WIDTH), generator=rng),
    "binary": lambda rng: (torch.rand(BATCH, 1, HEIGHT, WIDTH, generator=rng) < 0.3).float(),
    "depth": lambda rng: (
        torch.rand(BATCH, 1, HEIGHT, WIDTH, generator=rng).mul(8000).add(500).round() / 1000
    ),
    "normals": lambda rng: torch.nn.functional.normalize(
        torch.randn(BATCH, 3, HEIGHT, WIDTH, generator=rng)
    ),
}


@pytest.fixture(params=[*plugins.names("kinds"), OWN])
def definition(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TaskDef]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    kind = str(request.param)
    yield TaskDef.of(TaskRow("mine", kind, 2.5, OPTIONS.get(spec_of(kind).codec, {})))


@pytest.fixture
def task(definition: TaskDef) -> Task:
    return definition.build()


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def target(definition: TaskDef, rng: torch.Generator) -> Target:
    """Labels with holes; image 1 has no label."""
    valid = torch.rand(BATCH, 1, HEIGHT, WIDTH, generator=rng) < 0.7
    valid[1] = False
    return Target(labels(definition, rng), valid)


def labels(definition: TaskDef, rng: torch.Generator) -> Tensor:
    """Labels [b, c, h, w] that the format can hold.

    Of a format that came with its kind, what predictions amount to.
    """
    if definition.spec.codec in LABELS:
        return LABELS[definition.spec.codec](rng)
    task = definition.build()
    return task.to_target(
        task.activate(torch.randn(BATCH, task.channels, HEIGHT, WIDTH, generator=rng))
    ).value


@pytest.fixture
def raw(task: Task, rng: torch.Generator) -> Tensor:
    return torch.randn(BATCH, task.channels, HEIGHT, WIDTH, generator=rng)


def poisoned(target: Target, poison: float) -> Target:
    whole = not target.value.is_floating_point()
    return Target(
        torch.where(target.valid, target.value, int(poison) if whole else poison), target.valid
    )


def poisons(target: Target) -> list[float]:
    return [255, -1, 1e6] + (
        [float("nan"), float("inf")] if target.value.is_floating_point() else []
    )


def measured(metric: Metric, prediction: Tensor, target: Target) -> dict[str, float]:
    metric.update(prediction, target)
    metric.end_image()
    return values(metric)


def values(metric: Metric) -> dict[str, float]:
    return {name: result.value for name, result in metric.compute().items()}


def loss_and_gradient(task: Task, raw: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    leaf = raw.clone().requires_grad_()
    loss = task.loss(leaf, target)
    loss.sum().backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


def test_garbage_behind_an_invalid_mask_changes_no_loss_gradient_or_metric(
    task: Task, raw: Tensor, target: Target
) -> None:
    loss, gradient = loss_and_gradient(task, raw, target)
    figures = measured(task.metric(), task.activate(raw), target)
    assert loss[0] > 0, "The loss of a random prediction must be above 0."
    for poison in poisons(target):
        bad = poisoned(target, poison)
        bad_loss, bad_gradient = loss_and_gradient(task, raw, bad)
        said = f"must not depend on values where the label is not valid; {poison} there changed it"
        assert torch.equal(bad_loss, loss), f"`pixel_loss` {said}: take `target.safe()`."
        assert torch.equal(bad_gradient, gradient), f"The gradient of `pixel_loss` {said}."
        assert measured(task.metric(), task.activate(raw), bad) == figures, f"The metric {said}."


def test_an_image_without_a_valid_pixel_has_zero_loss_and_zero_gradient(
    task: Task, raw: Tensor, target: Target
) -> None:
    none = Target(target.value, torch.zeros_like(target.valid))
    for poison in poisons(none):
        loss, gradient = loss_and_gradient(task, raw, poisoned(none, poison))
        said = "must be 0 for an image without a valid pixel"
        assert torch.equal(loss, torch.zeros(BATCH)), f"The loss {said}: {loss.tolist()}."
        assert torch.equal(gradient, torch.zeros_like(raw)), f"The gradient of the loss {said}."
    loss, gradient = loss_and_gradient(task, raw, target)
    assert loss[1] == 0
    assert not gradient[1].any()


def test_the_loss_map_is_one_channel_and_zero_where_not_valid(
    task: Task, raw: Tensor, target: Target
) -> None:
    loss = task.pixel_loss(raw, target)
    assert loss.shape == (BATCH, 1, HEIGHT, WIDTH), (
        f"`pixel_loss` must return one channel, {(BATCH, 1, HEIGHT, WIDTH)}; it is {loss.shape}."
    )
    assert not loss[~target.valid].any(), (
        "`pixel_loss` must be 0 where the label is not valid: multiply by `target.valid`."
    )
    assert (loss >= 0).all(), f"`pixel_loss` must not be negative; its least is {loss.min():g}."


def test_an_images_loss_does_not_depend_on_its_company(
    task: Task, raw: Tensor, target: Target
) -> None:
    alone = [
        task.loss(raw[i : i + 1], Target(target.value[i : i + 1], target.valid[i : i + 1]))
        for i in range(BATCH)
    ]
    torch.testing.assert_close(torch.cat(alone), task.loss(raw, target))


def test_raw_outputs_of_zero_and_huge_ones_have_finite_losses_and_gradients(
    task: Task, raw: Tensor, target: Target
) -> None:
    for extreme in (torch.zeros_like(raw), 1e4 * raw, torch.full_like(raw, -1e4)):
        loss, gradient = loss_and_gradient(task, extreme, target)
        said = f"must be finite for raw outputs up to {extreme.abs().max():g}"
        assert loss.isfinite().all(), f"The loss {said}."
        assert gradient.isfinite().all(), f"The gradient of the loss {said}."
        assert task.activate(extreme).isfinite().all(), f"`activate` {said}."


def test_a_metric_over_parts_is_the_metric_over_the_whole(
    task: Task, raw: Tensor, target: Target
) -> None:
    prediction = task.activate(raw)
    whole = measured(task.metric(), prediction, target)
    in_batches, in_strips, merged = task.metric(), task.metric(), task.metric()
    for image in range(BATCH):
        own = slice(image, image + 1)
        in_batches.update(prediction[own], Target(target.value[own], target.valid[own]))
        in_batches.end_image()
        for rows in (slice(0, 1), slice(1, 4), slice(4, None)):
            strip = Target(target.value[own, :, rows], target.valid[own, :, rows])
            in_strips.update(prediction[own, :, rows], strip)
        in_strips.end_image()
        other = task.metric()
        measured(other, prediction[own], Target(target.value[own], target.valid[own]))
        merged.merge(other)
    for split in (in_batches, in_strips, merged):
        assert values(split) == pytest.approx(whole, rel=1e-12), (
            "A metric fed in batches or strips, or merged, must give what it gives of the whole: "
            "keep sums, and divide in `compute`."
        )


def test_an_empty_set_has_figures_that_are_not_numbers(
    task: Task, raw: Tensor, target: Target
) -> None:
    assert all(np.isnan(value) for value in values(task.metric()).values())
    none = Target(target.value, torch.zeros_like(target.valid))
    assert all(
        np.isnan(value) for value in measured(task.metric(), task.activate(raw), none).values()
    )


def test_the_headline_is_among_the_figures_in_the_tasks_unit(task: Task) -> None:
    headline = task.metric().compute()[task.headline]
    assert (headline.name, headline.unit) == (task.headline, task.unit), (
        f"`compute` of the metric must have the headline {task.headline!r} in the task's unit, "
        f"{task.unit!r}; it is {headline}."
    )


def test_the_labels_own_prediction_is_the_best_there_is(
    task: Task, raw: Tensor, target: Target
) -> None:
    truth = measured(task.metric(), task.as_prediction(target.safe()), target)[task.headline]
    noise = measured(task.metric(), task.activate(raw), target)[task.headline]
    better = task.metric().compute()[task.headline].better
    best = 100 if better == "higher" else 0
    assert truth == pytest.approx(best, abs=1e-6), (
        f"{task.headline} ({better} is better) of `as_prediction(label)` against the same label "
        f"must be {best}; it is {truth:g}. Either `as_prediction` does not give the prediction that "
        "says the label, or the metric changes values that this kind's labels have (DepthMetric "
        "raises predictions to `least`, 1e-9: give it `least=-math.inf` for values of any sign)."
    )
    worse = noise < truth - 1 if better == "higher" else noise > truth + 0.1
    assert worse, (
        f"{task.headline} of a random prediction must be clearly worse than that of the label, "
        f"{truth:g}; it is {noise:g}."
    )


def test_minimising_the_loss_improves_the_headline(task: Task, raw: Tensor, target: Target) -> None:
    leaf = raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=0.2)
    before = measured(task.metric(), task.activate(raw), target)[task.headline]
    for _ in range(60):
        optimiser.zero_grad()
        task.loss(leaf, target).sum().backward()
        optimiser.step()
    after = measured(task.metric(), task.activate(leaf.detach()), target)[task.headline]
    gap = abs({"higher": 100, "lower": 0}[task.metric().compute()[task.headline].better] - after)
    assert gap < 0.6 * abs(after - before), (
        f"60 steps down `pixel_loss` must bring {task.headline} most of the way from {before:g} to "
        f"its best; it ended at {after:g}. Is the loss least where the metric is best?"
    )


def test_uncertainty_is_one_finite_number_a_pixel_from_the_first_sample_on(
    task: Task, rng: torch.Generator
) -> None:
    moments = task.moments()
    with pytest.raises(ValueError, match="at least one prediction"):
        moments.uncertainty()
    for scale in (1.0, 1e4):
        moments = task.moments()
        for _ in range(3):
            moments.update(
                task.activate(scale * torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng))
            )
            assert moments.uncertainty().shape == (2, 1, HEIGHT, WIDTH)
            assert moments.uncertainty().isfinite().all()


def test_uncertainty_depends_on_the_samples_and_not_on_their_order(
    task: Task, rng: torch.Generator
) -> None:
    samples = task.activate(
        torch.randn(6, 2, task.channels, HEIGHT, WIDTH, generator=rng).flatten(0, 1)
    )
    samples = samples.view(6, 2, task.channels, HEIGHT, WIDTH)
    torch.testing.assert_close(
        task.uncertainty(samples.flip(0)), task.uncertainty(samples), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(task.uncertainty(samples[:, :1]), task.uncertainty(samples)[:1])


def test_predictions_that_differ_are_less_sure_than_one_repeated(
    task: Task, rng: torch.Generator
) -> None:
    raw = 5 * torch.randn(8, task.channels, HEIGHT, WIDTH, generator=rng)
    samples = task.activate(raw)[:, None]
    repeated = torch.stack(
        [task.uncertainty(sample.expand(8, *sample.shape)) for sample in samples]
    ).mean(0)
    assert (task.uncertainty(samples) > repeated).all(), (
        "`moments` must give eight predictions that differ more uncertainty, at every pixel, than "
        "one of them repeated has on average."
    )


def test_moments_do_not_grow_with_the_samples_nor_keep_their_graphs_nor_touch_them(
    task: Task, rng: torch.Generator
) -> None:
    raw = torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng, requires_grad=True)
    prediction, moments = task.activate(raw), task.moments()
    before, sizes = prediction.detach().clone(), []
    for _ in range(5):
        moments.update(prediction)
        held = list(tensors(moments))
        assert not any(value.requires_grad for value in held)
        sizes.append(sum(value.numel() for value in held))
    assert sizes[0] == sizes[-1] > 0
    assert torch.equal(prediction, before)


def tensors(held: Any) -> Iterator[Tensor]:
    """Every tensor that an object holds, itself or through objects of its own."""
    if isinstance(held, Tensor):
        yield held
    elif hasattr(held, "__dict__"):
        for value in vars(held).values():
            yield from tensors(value)


def test_disagreement_is_zero_with_oneself_and_positive_otherwise(
    task: Task, rng: torch.Generator
) -> None:
    for scale in (1.0, 1e4):
        one = task.activate(scale * torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng))
        other = task.activate(torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng))
        for disagreement in (task.disagreement, *task.other_disagreements.values()):
            gap = disagreement(one, other)
            assert gap.shape == (2, 1, HEIGHT, WIDTH), (
                f"A disagreement must be [b, 1, h, w]; it is {gap.shape}."
            )
            assert gap.isfinite().all(), f"A disagreement must be finite, at scale {scale:g}, too."
            assert (gap > 0).all() or (
                disagreement is not task.disagreement and (gap >= 0).all() and gap.any()
            ), "A disagreement of different predictions must be above 0."
            torch.testing.assert_close(
                disagreement(one, one), torch.zeros_like(gap), rtol=0, atol=1e-6
            )


def test_a_tasks_functions_stay_on_the_device_of_their_tensors(
    task: Task, raw: Tensor, target: Target
) -> None:
    far, labels = raw.to("meta"), target.to("meta")
    prediction = task.activate(far)
    results = [
        task.loss(far, labels),
        task.uncertainty(prediction[None]),
        task.disagreement(prediction, prediction),
    ]
    assert {result.device.type for result in results} == {"meta"}, (
        "Loss, uncertainty and disagreement must stay on the device of their tensors: make new "
        "tensors with `prediction.new_tensor`, not with `torch.tensor`."
    )


def test_a_task_can_be_sent_to_another_process(task: Task) -> None:
    assert pickle.loads(pickle.dumps(task)).name == task.name  # noqa: S301


def test_a_task_carries_its_definition(task: Task, definition: TaskDef) -> None:
    spec = definition.spec
    assert (task.name, task.kind, task.cost) == ("mine", definition.kind, 2.5)
    assert spec.kind == definition.kind
    assert (task.weight, task.headline, task.unit) == (spec.weight, spec.headline, spec.unit), (
        "`build` must return the weight, headline and unit of SPEC."
    )


def test_a_metric_is_named_after_its_first_figure(task: Task) -> None:
    assert list(task.metrics) == [task.headline]
    assert [next(iter(start().compute())) for start in task.metrics.values()] == list(task.metrics)


def test_every_metric_that_a_kind_lists_can_be_chosen(definition: TaskDef) -> None:
    spec = definition.spec
    metrics = {name: dict[str, object]() for name in spec.metrics}
    row = TaskRow("all", definition.kind, 1.0, {**OPTIONS.get(spec.codec, {}), "metrics": metrics})
    task = TaskDef.of(row).build()
    assert list(task.metrics) == list(spec.metrics), (
        "`build` must make every metric of SPEC: task.chosen({NAME: function, ...})."
    )
    assert set(spec.metrics) <= set(task.metric().compute())


def arrays(target: Target, image: int) -> LabelArray:
    return LabelArray(target.value[image].movedim(0, 2).numpy(), target.valid[image, 0].numpy())


def test_a_labels_picture_is_rgb_and_hatched_where_not_valid(
    definition: TaskDef, target: Target
) -> None:
    label = arrays(poisoned(target, poisons(target)[-1]), 0)
    picture = colour_map(definition, label.value, label.valid)
    assert (picture.dtype, picture.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    hatched = (picture[:, :, None] == HATCH).all(3).any(2)
    assert hatched[~label.valid].all()
    assert len(np.unique(picture[label.valid], axis=0)) > 1
    assert np.array_equal(picture, colour_map(definition, arrays(target, 0).value, label.valid))
    nothing = colour_map(definition, label.value, np.zeros_like(label.valid))
    assert np.isin(nothing, HATCH).all()


def test_a_prediction_becomes_the_label_that_it_says(task: Task, target: Target) -> None:
    label = task.to_target(task.as_prediction(target.value))
    said = "`to_target(as_prediction(label))` must be the label"
    assert label.valid.all(), f"{said}, valid everywhere; some pixels are not valid."
    assert label.value.dtype == target.value.dtype, f"{said}; it is of type {label.value.dtype}."
    torch.testing.assert_close(
        label.value, target.value, rtol=1e-6, atol=0, msg=lambda found: f"{said}. {found}"
    )


def test_a_prediction_that_is_not_a_number_is_no_label(task: Task, target: Target) -> None:
    prediction = task.as_prediction(target.value).clone()
    prediction[0, 0, 2, 3] = torch.nan
    assert (~task.to_target(prediction).valid).nonzero().tolist() == [[0, 0, 2, 3]], (
        "`to_target` must mark a prediction of NaN, and no other one, as not valid."
    )


def test_a_prediction_can_be_written_as_a_label_and_read_back(
    definition: TaskDef, task: Task, raw: Tensor, tmp_path: Path
) -> None:
    a_prediction_survives_the_label_file(definition, task, task.activate(raw[:1]), tmp_path)


def test_a_flip_that_is_undone_leaves_the_label(definition: TaskDef, target: Target) -> None:
    for image in range(BATCH):
        a_flip_undone_is_the_label(definition, arrays(target, image))


def test_a_mirrored_prediction_is_that_of_the_image(
    definition: TaskDef, task: Task, target: Target
) -> None:
    a_mirrored_prediction_is_that_of_the_image(definition, task, arrays(target, 0))


def test_mirroring_and_activating_commute(task: Task, rng: torch.Generator) -> None:
    raw = torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng)
    mirroring_and_activating_commute(task, raw)


@pytest.mark.parametrize("kind", [*plugins.names("kinds"), OWN])
def test_a_view_shows_the_labels_that_the_flipped_and_zoomed_world_has(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label of a made world is that of the kind's format, or `TRUTH` of the kind's test module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    codec = spec_of(kind).codec
    truth = own.declared("kinds", kind, "TRUTH") or TRUTHS.get(codec)
    assert truth is not None, (
        f"The laws know no made world with labels of the format {codec}. Write into "
        f"{own.place_of_test('kinds', kind)}: a function TRUTH(mirrored, zoom) that returns the label "
        "[h, w, c] of a world of your choice, as it is or mirrored, and zoomed about its middle, which "
        "changes slowly from pixel to pixel (by less than a tenth, or 0.03) except at few edges; "
        "`depth` in tests/task_laws.py shows how, with `seen`, where each pixel looks."
    )
    views_show_the_world(TaskDef.of(TaskRow("mine", kind, 2.5, OPTIONS.get(codec, {}))), truth)


def test_a_disparity_grows_where_depth_falls() -> None:
    views_show_the_world(
        TaskDef.of(TaskRow("stereo", "depth", 1.0, {"disparity": True})), disparity
    )


def test_how_a_map_is_coloured_decides_nothing_about_what_a_prediction_means(
    definition: TaskDef, task: Task, raw: Tensor
) -> None:
    pink = dataclasses.replace(
        definition, spec=dataclasses.replace(definition.spec, render=all_pink)
    )
    plain, other = (one.to_target(one.activate(raw)) for one in (task, pink.build()))
    assert torch.equal(plain.value, other.value) and torch.equal(plain.valid, other.valid)
    assert (
        colour_map(pink, np.ones((2, 2, task.label_channels), np.float32)) == (255, 0, 255)
    ).all()


def all_pink(value: Any, *_: Any) -> Any:
    return np.full((*value.shape[:2], 3), (255, 0, 255), np.uint8)


def test_the_plain_data_of_all_kinds_and_their_pictures_load_no_torch() -> None:
    code = (
        "import sys; from labelgrid.basics import plugins; from labelgrid.tasks.task import spec_of; "
        "import labelgrid.tasks.pictures; "
        f"print(len([spec_of(kind) for kind in [*plugins.names('kinds'), {OWN!r}]]), 'torch' in sys.modules)"
    )
    path = [str(EXAMPLES), *sys.path]
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(len(plugins.names("kinds")) + 1), "False"]


def test_the_example_kind_counts_an_error_the_more_the_nearer_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    task = TaskDef.of(TaskRow("mine", OWN, 1.0)).build()
    raw = torch.zeros(1, 1, 1, 2)
    metres = task.activate(raw)
    target = Target(metres + torch.tensor([0.5, 5.0]), torch.ones(1, 1, 1, 2, dtype=torch.bool))
    near, far = task.pixel_loss(raw, target).flatten()
    assert near > 0.1 * 2 * far
