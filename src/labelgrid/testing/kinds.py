"""Defines the laws of kinds of task, functions that raise AssertionError for a breach."""

import dataclasses
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics import plugins
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.metrics import Metric
from labelgrid.pixel.target import Target
from labelgrid.tasks.pictures import HATCH, colour_map
from labelgrid.tasks.task import Task, TaskDef, spec_of
from labelgrid.testing import worlds
from labelgrid.testing.laws import Subject, expect, run_alone

BATCH = 4
HEIGHT = 6
WIDTH = 7


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


@dataclass(frozen=True)
class KindCase:
    """A kind of task with labels and raw outputs, each drawn once.

    Args:
        kind: its name, or "package.module:object".
        place: an empty folder.
        truth: the label of a made world, for a label format that came with the kind.
    """

    kind: str
    place: Path
    truth: worlds.Truth | None = None

    @cached_property
    def definition(self) -> TaskDef:
        options = OPTIONS.get(spec_of(self.kind).codec, {})
        return TaskDef.of(TaskRow("mine", self.kind, 2.5, options))

    @cached_property
    def task(self) -> Task:
        return self.definition.build()

    @cached_property
    def rng(self) -> torch.Generator:
        return torch.Generator().manual_seed(0)

    @cached_property
    def target(self) -> Target:
        """Labels with holes; image 1 has no label."""
        valid = torch.rand(BATCH, 1, HEIGHT, WIDTH, generator=self.rng) < 0.7
        valid[1] = False
        return Target(labels(self.definition, self.rng), valid)

    @cached_property
    def raw(self) -> Tensor:
        return torch.randn(BATCH, self.task.channels, HEIGHT, WIDTH, generator=self.rng)


def labels(definition: TaskDef, rng: torch.Generator) -> Tensor:
    """Labels [b, c, h, w] that the format can hold.

    If the format came with its kind, the label files of predictions.
    """
    if definition.spec.codec in LABELS:
        return LABELS[definition.spec.codec](rng)
    task = definition.build()
    return task.to_target(
        task.activate(torch.randn(BATCH, task.channels, HEIGHT, WIDTH, generator=rng))
    ).value


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


def _same(results: dict[str, float], wanted: dict[str, float]) -> bool:
    keys = list(wanted)
    first = [results.get(key, np.nan) for key in keys]
    close = np.isclose(first, [wanted[key] for key in keys], rtol=1e-12, atol=1e-12, equal_nan=True)
    return results.keys() == wanted.keys() and bool(close.all())


def refuses_nothing(moments: Any) -> bool:
    """Whether moments of no prediction raise a ValueError when they are asked."""
    try:
        moments.uncertainty()
    except ValueError:
        return True
    return False


def loss_and_gradient(task: Task, raw: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    leaf = raw.clone().requires_grad_()
    loss = task.loss(leaf, target)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


def garbage_behind_an_invalid_mask_changes_no_loss_gradient_or_metric(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
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


def an_image_without_a_valid_pixel_has_zero_loss_and_zero_gradient(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    none = Target(target.value, torch.zeros_like(target.valid))
    for poison in poisons(none):
        loss, gradient = loss_and_gradient(task, raw, poisoned(none, poison))
        said = "must be 0 for an image without a valid pixel"
        assert torch.equal(loss, torch.zeros(BATCH)), f"The loss {said}: {loss.tolist()}."
        assert torch.equal(gradient, torch.zeros_like(raw)), f"The gradient of the loss {said}."
    loss, gradient = loss_and_gradient(task, raw, target)
    expect(
        loss[1] == 0 and not gradient[1].any(),
        "An image without a valid pixel must have the loss 0 and no gradient among others, too; "
        f"its loss is {loss[1]:g}.",
    )


def the_loss_map_is_one_channel_and_zero_where_not_valid(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    loss = task.pixel_loss(raw, target)
    assert loss.shape == (BATCH, 1, HEIGHT, WIDTH), (
        f"`pixel_loss` must return one channel, {(BATCH, 1, HEIGHT, WIDTH)}; it is {loss.shape}."
    )
    assert not loss[~target.valid].any(), (
        "`pixel_loss` must be 0 where the label is not valid: multiply by `target.valid`."
    )
    assert (loss >= 0).all(), f"`pixel_loss` must not be negative; its least is {loss.min():g}."


def an_images_loss_does_not_depend_on_its_company(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    alone = [
        task.loss(raw[i : i + 1], Target(target.value[i : i + 1], target.valid[i : i + 1]))
        for i in range(BATCH)
    ]
    together = task.loss(raw, target)
    expect(
        torch.allclose(torch.cat(alone), together, rtol=1.3e-6, atol=1e-5),
        "The loss of an image must not depend on the others of its batch; alone the losses are "
        f"{torch.cat(alone).tolist()}, together {together.tolist()}.",
    )


def raw_outputs_of_zero_and_huge_ones_have_finite_losses_and_gradients(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    for extreme in (torch.zeros_like(raw), 1e4 * raw, torch.full_like(raw, -1e4)):
        loss, gradient = loss_and_gradient(task, extreme, target)
        said = f"must be finite for raw outputs up to {extreme.abs().max():g}"
        assert loss.isfinite().all(), f"The loss {said}."
        assert gradient.isfinite().all(), f"The gradient of the loss {said}."
        assert task.activate(extreme).isfinite().all(), f"`activate` {said}."


def a_metric_over_parts_is_the_metric_over_the_whole(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    prediction = task.activate(raw)
    whole = measured(task.metric(), prediction, target)
    in_batches = task.metric()
    in_strips = task.metric()
    merged = task.metric()
    for image in range(BATCH):
        part = slice(image, image + 1)
        in_batches.update(prediction[part], Target(target.value[part], target.valid[part]))
        in_batches.end_image()
        for rows in (slice(0, 1), slice(1, 4), slice(4, None)):
            strip = Target(target.value[part, :, rows], target.valid[part, :, rows])
            in_strips.update(prediction[part, :, rows], strip)
        in_strips.end_image()
        other = task.metric()
        measured(other, prediction[part], Target(target.value[part], target.valid[part]))
        merged.merge(other)
    for split in (in_batches, in_strips, merged):
        assert _same(values(split), whole), (
            "A metric fed in batches or strips, or merged, must give what it gives of the whole: "
            "keep sums, and divide in `compute`."
        )


def an_empty_set_has_figures_that_are_not_numbers(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    empty = values(task.metric())
    said = "The figures of a metric that has seen no valid pixel must be NaN"
    expect(all(np.isnan(value) for value in empty.values()), f"{said}; they are {empty}.")
    none = Target(target.value, torch.zeros_like(target.valid))
    unlabelled = measured(task.metric(), task.activate(raw), none)
    expect(all(np.isnan(value) for value in unlabelled.values()), f"{said}; they are {unlabelled}.")


def the_headline_is_among_the_figures_in_the_tasks_unit(case: KindCase) -> None:
    task = case.task
    headline = task.metric().compute()[task.headline]
    assert (headline.name, headline.unit) == (task.headline, task.unit), (
        f"`compute` of the metric must have the headline {task.headline!r} in the task's unit, "
        f"{task.unit!r}; it is {headline}."
    )


def the_labels_own_prediction_is_the_best_there_is(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    truth = measured(task.metric(), task.as_prediction(target.safe()), target)[task.headline]
    noise = measured(task.metric(), task.activate(raw), target)[task.headline]
    better = task.metric().compute()[task.headline].better
    best = 100 if better == "higher" else 0
    assert abs(truth - best) <= 1e-6, (
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


def minimising_the_loss_improves_the_headline(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    leaf = raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=0.2)
    before = measured(task.metric(), task.activate(raw), target)[task.headline]
    for _ in range(60):
        optimiser.zero_grad()
        task.loss(leaf, target).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    after = measured(task.metric(), task.activate(leaf.detach()), target)[task.headline]
    gap = abs({"higher": 100, "lower": 0}[task.metric().compute()[task.headline].better] - after)
    assert gap < 0.6 * abs(after - before), (
        f"60 steps down `pixel_loss` must bring {task.headline} most of the way from {before:g} to "
        f"its best; it ended at {after:g}. Is the loss least where the metric is best?"
    )


def uncertainty_is_one_finite_number_a_pixel_from_the_first_sample_on(case: KindCase) -> None:
    task = case.task
    rng = case.rng
    moments = task.moments()
    expect(
        refuses_nothing(moments),
        "`moments().uncertainty()` before any `update` must raise a ValueError.",
    )
    for scale in (1.0, 1e4):
        moments = task.moments()
        for _ in range(3):
            moments.update(
                task.activate(scale * torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng))
            )
            spread = moments.uncertainty()
            expect(
                spread.shape == (2, 1, HEIGHT, WIDTH) and spread.isfinite().all(),
                f"`moments().uncertainty()` must be one finite number a pixel, {(2, 1, HEIGHT, WIDTH)}"
                f", after each `update`; it is {spread.shape}, its largest {spread.max():g}.",
            )


def uncertainty_depends_on_the_samples_and_not_on_their_order(case: KindCase) -> None:
    task = case.task
    shape = (2, task.channels, HEIGHT, WIDTH)
    samples = task.activate(torch.randn(12, *shape[1:], generator=case.rng)).view(6, *shape)
    whole = task.uncertainty(samples)
    expect(
        torch.allclose(task.uncertainty(samples.flip(0)), whole, rtol=1e-4, atol=1e-4),
        "`moments` must give the same uncertainty for any order of the predictions; it did not.",
    )
    expect(
        torch.allclose(task.uncertainty(samples[:, :1]), whole[:1], rtol=1.3e-6, atol=1e-5),
        "The uncertainty of an image must not depend on the others of its batch; it does.",
    )


def predictions_that_differ_are_less_sure_than_one_repeated(case: KindCase) -> None:
    task = case.task
    rng = case.rng
    raw = 5 * torch.randn(8, task.channels, HEIGHT, WIDTH, generator=rng)
    samples = task.activate(raw)[:, None]
    repeated = torch.stack(
        [task.uncertainty(sample.expand(8, *sample.shape)) for sample in samples]
    ).mean(0)
    assert (task.uncertainty(samples) > repeated).all(), (
        "`moments` must give eight predictions that differ more uncertainty, at every pixel, than "
        "one of them repeated has on average."
    )


def moments_do_not_grow_with_the_samples_nor_keep_their_graphs_nor_touch_them(
    case: KindCase,
) -> None:
    task = case.task
    rng = case.rng
    raw = torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng, requires_grad=True)
    prediction = task.activate(raw)
    moments = task.moments()
    before = prediction.detach().clone()
    sizes = []
    for _ in range(5):
        moments.update(prediction)
        held = list(tensors(moments))
        expect(
            not any(value.requires_grad for value in held),
            "`moments` must not keep the graphs of predictions: `update` takes `prediction.detach()`.",
        )
        sizes.append(sum(value.numel() for value in held))
    expect(
        sizes[0] == sizes[-1] > 0,
        "`moments` must keep sums and not samples, so that many passes need no more memory; the "
        f"numbers that they hold after each of five predictions are {sizes}.",
    )
    expect(torch.equal(prediction, before), "`update` must not write into the prediction; it did.")


def tensors(held: Any) -> Iterator[Tensor]:
    """Every tensor of an object, direct or in nested objects."""
    if isinstance(held, Tensor):
        yield held
    elif hasattr(held, "__dict__"):
        for value in vars(held).values():
            yield from tensors(value)


def disagreement_is_zero_with_oneself_and_positive_otherwise(case: KindCase) -> None:
    task = case.task
    rng = case.rng
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
            same = disagreement(one, one).abs().max()
            expect(
                same <= 1e-6, f"A prediction must not disagree with itself; it does by {same:g}."
            )


def a_tasks_functions_stay_on_the_device_of_their_tensors(case: KindCase) -> None:
    task = case.task
    raw = case.raw
    target = case.target
    far = raw.to("meta")
    labels = target.to("meta")
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


def a_task_can_be_sent_to_another_process(case: KindCase) -> None:
    task = case.task
    try:
        again = pickle.loads(pickle.dumps(task))  # noqa: S301
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise AssertionError(
            f"A task must be pickled, since processes of a loader take it; that raised {error!r}: "
            "its functions must be named ones of a module, or `partial` of these."
        ) from error
    expect(again.name == task.name, f"A pickled task must keep its name; it is {again.name!r}.")


def a_task_carries_its_definition(case: KindCase) -> None:
    task = case.task
    definition = case.definition
    spec = definition.spec
    carried = (task.name, task.kind, task.cost)
    expect(
        carried == ("mine", definition.kind, 2.5),
        f"`build` must return the name, kind and cost of its definition, {definition.kind!r} for "
        f"2.5; it returned {carried}: take them from the definition that it is given.",
    )
    target = plugins.target_of("kinds", definition.kind)
    expect(
        spec.kind in (definition.kind, target),
        f"`kind` of SPEC must be the name by which tasks name it, {definition.kind!r}; it is "
        f"{spec.kind!r}.",
    )
    assert (task.weight, task.headline, task.unit) == (spec.weight, spec.headline, spec.unit), (
        "`build` must return the weight, headline and unit of SPEC."
    )


def a_metric_is_named_after_its_first_figure(case: KindCase) -> None:
    task = case.task
    named = list(task.metrics)
    expect(
        named == [task.headline],
        f"Without `metrics` in its options a task must have the headline {task.headline!r} alone; "
        f"it has {named}.",
    )
    first = [next(iter(start().compute())) for start in task.metrics.values()]
    expect(
        first == named,
        f"A metric must be named after the first figure of its `compute`; {named} begin with {first}.",
    )


def every_metric_that_a_kind_lists_can_be_chosen(case: KindCase) -> None:
    definition = case.definition
    spec = definition.spec
    metrics = {name: dict[str, object]() for name in spec.metrics}
    row = TaskRow("all", definition.kind, 1.0, {**OPTIONS.get(spec.codec, {}), "metrics": metrics})
    task = TaskDef.of(row).build()
    assert list(task.metrics) == list(spec.metrics), (
        "`build` must make every metric of SPEC: task.chosen({NAME: function, ...})."
    )
    missing = set(spec.metrics) - set(task.metric().compute())
    expect(not missing, f"Each metric of SPEC must be among the figures; {missing} are not.")


def arrays(target: Target, image: int) -> LabelArray:
    return LabelArray(target.value[image].movedim(0, 2).numpy(), target.valid[image, 0].numpy())


def a_labels_picture_is_rgb_and_hatched_where_not_valid(case: KindCase) -> None:
    definition = case.definition
    target = case.target
    label = arrays(poisoned(target, poisons(target)[-1]), 0)
    picture = colour_map(definition, label.value, label.valid)
    expect(
        picture.dtype == np.uint8 and picture.shape == (HEIGHT, WIDTH, 3),
        f"`render` must return RGB in bytes, {(HEIGHT, WIDTH, 3)}; it returned {picture.dtype} "
        f"{picture.shape}.",
    )
    hatched = (picture[:, :, None] == HATCH).all(3).any(2)
    expect(hatched[~label.valid].all(), "A picture must be hatched where the label is not valid.")
    expect(
        len(np.unique(picture[label.valid], axis=0)) > 1,
        "`render` must show different values in different colours; all have one.",
    )
    expect(
        np.array_equal(picture, colour_map(definition, arrays(target, 0).value, label.valid)),
        "Values that are not valid must not change the picture: set limits by valid ones alone.",
    )
    nothing = colour_map(definition, label.value, np.zeros_like(label.valid))
    expect(np.isin(nothing, HATCH).all(), "A picture without a valid pixel must be hatched alone.")


def a_prediction_becomes_the_label_that_it_says(case: KindCase) -> None:
    task = case.task
    target = case.target
    label = task.to_target(task.as_prediction(target.value))
    said = "`to_target(as_prediction(label))` must be the label"
    assert label.valid.all(), f"{said}, valid everywhere; some pixels are not valid."
    assert label.value.dtype == target.value.dtype, f"{said}; it is of type {label.value.dtype}."
    torch.testing.assert_close(
        label.value, target.value, rtol=1e-6, atol=0, msg=lambda report: f"{said}. {report}"
    )


def a_prediction_that_is_not_a_number_is_no_label(case: KindCase) -> None:
    task = case.task
    target = case.target
    prediction = task.as_prediction(target.value).clone()
    prediction[0, 0, 2, 3] = torch.nan
    assert (~task.to_target(prediction).valid).nonzero().tolist() == [[0, 0, 2, 3]], (
        "`to_target` must mark a prediction of NaN, and no other one, as not valid."
    )


def a_prediction_can_be_written_as_a_label_and_read_back(case: KindCase) -> None:
    definition = case.definition
    task = case.task
    raw = case.raw
    folder = case.place
    worlds.a_prediction_survives_the_label_file(definition, task, task.activate(raw[:1]), folder)


def a_flip_that_is_undone_leaves_the_label(case: KindCase) -> None:
    definition = case.definition
    target = case.target
    for image in range(BATCH):
        worlds.a_flip_undone_is_the_label(definition, arrays(target, image))


def a_mirrored_prediction_is_that_of_the_image(case: KindCase) -> None:
    definition = case.definition
    task = case.task
    target = case.target
    worlds.a_mirrored_prediction_is_that_of_the_image(definition, task, arrays(target, 0))


def mirroring_and_activating_commute(case: KindCase) -> None:
    task = case.task
    rng = case.rng
    raw = torch.randn(2, task.channels, HEIGHT, WIDTH, generator=rng)
    worlds.mirroring_and_activating_commute(task, raw)


def a_view_shows_the_labels_that_the_flipped_and_zoomed_world_has(case: KindCase) -> None:
    codec = case.definition.spec.codec
    truth = case.truth or worlds.TRUTHS.get(codec)
    expect(
        truth is not None,
        f"The laws know no made world with labels of the format {codec}. Write beside the kind, or "
        "into its test module, a function TRUTH(mirrored, zoom) that returns the label [h, w, c] of "
        "a world of your choice, as it is or mirrored, and zoomed about its middle, which changes "
        "slowly from pixel to pixel (by less than a tenth, or 0.03) except at few edges; `depth` in "
        "labelgrid.testing.worlds shows how, with `seen`, where each pixel looks.",
    )
    assert truth
    worlds.views_show_the_world(case.definition, truth)


def how_a_map_is_coloured_decides_nothing_about_what_a_prediction_means(case: KindCase) -> None:
    definition = case.definition
    task = case.task
    raw = case.raw
    pink = dataclasses.replace(
        definition, spec=dataclasses.replace(definition.spec, render=all_pink)
    )
    plain, other = (one.to_target(one.activate(raw)) for one in (task, pink.build()))
    expect(
        torch.equal(plain.value, other.value) and torch.equal(plain.valid, other.valid),
        "`to_target` must not depend on `render` of SPEC, which is for display alone; it does.",
    )
    assert (
        colour_map(pink, np.ones((2, 2, task.label_channels), np.float32)) == (255, 0, 255)
    ).all()


def all_pink(value: Any, *_: Any) -> Any:
    return np.full((*value.shape[:2], 3), (255, 0, 255), np.uint8)


def its_plain_data_loads_no_torch(case: KindCase) -> None:
    code = (
        "import sys; from labelgrid.tasks.task import spec_of; import labelgrid.tasks.pictures; "
        "spec_of(sys.argv[1]); sys.exit(3 if 'torch' in sys.modules else 0)"
    )
    run = run_alone(code, case.kind)
    expect(
        run.returncode == 0,
        f"SPEC of {case.kind} must be had without torch, since light commands read it: import torch "
        f"in `build` alone; it ended with {run.returncode}: {run.stderr[-400:]}",
    )


def case_of(subject: Subject, place: Path) -> KindCase:
    """A kind, with the author's made world `TRUTH`, if declared."""
    return KindCase(subject.name, place, subject.says("TRUTH"))


LAWS: tuple[Callable[[KindCase], None], ...] = (
    garbage_behind_an_invalid_mask_changes_no_loss_gradient_or_metric,
    an_image_without_a_valid_pixel_has_zero_loss_and_zero_gradient,
    the_loss_map_is_one_channel_and_zero_where_not_valid,
    an_images_loss_does_not_depend_on_its_company,
    raw_outputs_of_zero_and_huge_ones_have_finite_losses_and_gradients,
    a_metric_over_parts_is_the_metric_over_the_whole,
    an_empty_set_has_figures_that_are_not_numbers,
    the_headline_is_among_the_figures_in_the_tasks_unit,
    the_labels_own_prediction_is_the_best_there_is,
    minimising_the_loss_improves_the_headline,
    uncertainty_is_one_finite_number_a_pixel_from_the_first_sample_on,
    uncertainty_depends_on_the_samples_and_not_on_their_order,
    predictions_that_differ_are_less_sure_than_one_repeated,
    moments_do_not_grow_with_the_samples_nor_keep_their_graphs_nor_touch_them,
    disagreement_is_zero_with_oneself_and_positive_otherwise,
    a_tasks_functions_stay_on_the_device_of_their_tensors,
    a_task_can_be_sent_to_another_process,
    a_task_carries_its_definition,
    a_metric_is_named_after_its_first_figure,
    every_metric_that_a_kind_lists_can_be_chosen,
    a_labels_picture_is_rgb_and_hatched_where_not_valid,
    a_prediction_becomes_the_label_that_it_says,
    a_prediction_that_is_not_a_number_is_no_label,
    a_prediction_can_be_written_as_a_label_and_read_back,
    a_flip_that_is_undone_leaves_the_label,
    a_mirrored_prediction_is_that_of_the_image,
    mirroring_and_activating_commute,
    a_view_shows_the_labels_that_the_flipped_and_zoomed_world_has,
    how_a_map_is_coloured_decides_nothing_about_what_a_prediction_means,
    its_plain_data_loads_no_torch,
)
