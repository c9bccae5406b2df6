"""Defines the laws of relations, functions that raise AssertionError for a breach.

The laws of predictions load torch; a relation without `on_predictions` needs none of it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics import plugins
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.data.transforms import place_label
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.bands import rows_of
from labelgrid.relations.relation import Relation
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef, spec_of
from labelgrid.testing.laws import WATCH, NotForItError, Subject, expect, run_alone

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: How far a number that follows from predictions may be from the one of the label.
CLOSE = 1e-4


#: Builds a relation where torch cannot be imported, and prints which labels it reads.
ALONE = f"""{WATCH}
from labelgrid.basics import plugins
name = sys.argv[1]
options = plugins.options_class("relations", name)
relation = plugins.create("relations", name, options())
print(relation.reads, relation.gives, relation.needs_camera)
sys.exit(3 if Watch.asked else 0)
"""


#: The options of tasks that have required ones, by label format.
TASK_OPTIONS: dict[str, dict[str, Any]] = {
    "classes": {"classes": ["background", "person", "wall", "floor"]}
}


@dataclass(frozen=True)
class RelationCase:
    """A relation between made tasks.

    Args:
        name: the name of the plug-in, or "package.module:object".
        values: its options.
        read_options: the options of each task that it reads; none: there are no others.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    read_options: Sequence[Mapping[str, Any]] = ()

    @property
    def relation(self) -> Relation:
        options = plugins.options_class("relations", self.name)(**self.values)
        relation: Relation = plugins.create("relations", self.name, options)
        return relation

    @property
    def reads(self) -> list[TaskDef]:
        kinds = self.relation.reads
        declared = self.read_options or ({},) * len(kinds)
        tasks = []
        for number, (kind, options) in enumerate(zip(kinds, declared, strict=True)):
            tasks.append(task_of(kind, f"read{number}", options))
        return tasks

    @property
    def gives(self) -> TaskDef:
        return task_of(self.relation.gives, "given", {})

    def derive(
        self, labels: Sequence[LabelArray], camera: Camera | Literal["made"] | None = "made"
    ) -> LabelArray:
        """The label derived from labels, by default with the camera of the made world."""
        derive = self.relation.between(self.reads, self.gives)
        return derive(labels, camera_of(labels) if camera == "made" else camera)


def case_of(subject: Subject, _place: Path) -> RelationCase:
    """A relation with the author's `OPTIONS` and `READS`, if declared."""
    options = subject.says("OPTIONS", {})
    return RelationCase(subject.name, options, tuple(subject.says("READS", ())))


def task_of(kind: str, name: str, options: Mapping[str, Any]) -> TaskDef:
    needed = TASK_OPTIONS.get(spec_of(kind).codec, {})
    return TaskDef.of(TaskRow(name, kind, 1.0, {**needed, **options}))


def truth(kind: str) -> LabelArray:
    """The label of a made world, valid everywhere; read-only."""
    from labelgrid.testing.worlds import TRUTHS

    spec = spec_of(kind)
    world = TRUTHS.get(spec.codec) or Subject("kinds", kind).says("TRUTH")
    if world is None:
        raise NotForItError(f"the laws know no made world with labels of the format {spec.codec}")
    value = world(False, 1.0)
    return frozen(value, np.ones(value.shape[:2], np.bool_))


def frozen(value: NDArray[Any], valid: NDArray[Any]) -> LabelArray:
    value.flags.writeable = False
    valid.flags.writeable = False
    return LabelArray(value, valid)


def camera_of(labels: Sequence[LabelArray]) -> Camera:
    """A camera that does not look through the middle."""
    return Camera.of_view(66.0, labels[0].size).shift(1.3, -0.4)


def with_gaps(label: LabelArray, hidden: float) -> LabelArray:
    """The label without some pixels, behind which there is another number."""
    return without(label, np.random.default_rng(0).random(label.size) < 0.2, hidden)


def without(label: LabelArray, gaps: NDArray[Any], hidden: float = 0) -> LabelArray:
    valid = label.valid & ~gaps
    value = label.value.copy()
    value[~valid] = hidden
    return frozen(value, valid)


def it_declares_kinds(case: RelationCase) -> None:
    relation = case.relation
    kinds = plugins.names("kinds")
    expect(
        bool(relation.reads) and all(kind in kinds or ":" in kind for kind in relation.reads),
        f"`reads` of {case.name} must be one or more kinds of tasks; it is {relation.reads!r}.",
    )
    expect(
        relation.gives in kinds or ":" in relation.gives,
        f"`gives` of {case.name} must be a kind of task; it is {relation.gives!r}.",
    )


def it_derives_a_label_of_its_kind(case: RelationCase) -> None:
    relation = case.relation
    labels = [truth(kind) for kind in relation.reads]
    label = case.derive(labels)
    form = codec(spec_of(relation.gives).codec)
    expect(
        label.value.shape == (*labels[0].size, form.CHANNELS) and label.size == labels[0].size,
        f"`derive` of {case.name} must return a label of the size of those that it reads, with "
        f"{form.CHANNELS} numbers a pixel; it returned {label.value.shape} and {label.size}.",
    )
    expect(
        label.value.dtype == form.DTYPE and label.valid.dtype == np.bool_,
        f"`derive` of {case.name} must return values of {form.DTYPE.__name__} and a mask of bool; "
        f"it returned {label.value.dtype} and {label.valid.dtype}.",
    )
    expect(
        bool(label.valid.any() and np.isfinite(label.value[label.valid]).all()),
        f"`derive` of {case.name} must return some valid pixel of whole labels, and finite values there.",
    )


def nothing_is_valid_of_labels_that_are_nowhere_valid(case: RelationCase) -> None:
    relation = case.relation
    labels = []
    for kind in relation.reads:
        label = truth(kind)
        labels.append(frozen(np.zeros_like(label.value), np.zeros(label.size, np.bool_)))
    expect(
        not case.derive(labels).valid.any(),
        f"`derive` of {case.name} must return no valid pixel of labels that have none.",
    )


def what_is_not_valid_changes_nothing(case: RelationCase) -> None:
    relation = case.relation
    derived = []
    for hidden in (0, -1, 10**6):
        labels = [with_gaps(truth(kind), hidden) for kind in relation.reads]
        derived.append(case.derive(labels))
    first, *others = derived
    for other in others:
        same = np.array_equal(first.valid, other.valid)
        expect(
            same and np.array_equal(first.value[first.valid], other.value[other.valid]),
            f"What `derive` of {case.name} returns must not change with numbers that are not valid.",
        )


def what_is_far_from_all_that_is_valid_is_not_sure(case: RelationCase) -> None:
    relation = case.relation
    labels = []
    for kind in relation.reads:
        label = truth(kind)
        columns = np.broadcast_to(np.arange(label.size[1]), label.size)
        labels.append(without(label, columns < label.size[1] // 2))
    far = case.derive(labels).valid[:, : labels[0].size[1] // 4]
    expect(
        not far.any(),
        f"`derive` of {case.name} must not be sure of pixels that lie deep in what is not valid.",
    )


def a_mirrored_image_has_the_mirrored_label(case: RelationCase) -> None:
    labels = [with_gaps(truth(kind), 0) for kind in case.relation.reads]
    height, width = labels[0].size
    whole = (slice(0, height), slice(0, width))
    plain = Placement(source=whole, target=whole, canvas=(height, width))
    flip = replace(plain, flip=True)
    mirrored = [
        place_label(label, flip, task) for label, task in zip(labels, case.reads, strict=True)
    ]
    camera = camera_of(labels)
    derived = place_label(case.derive(mirrored, camera.mirror(width)), plain, case.gives)
    wanted = place_label(case.derive(labels, camera), flip, case.gives)
    same = np.array_equal(derived.valid, wanted.valid)
    expect(
        same and np.array_equal(derived.value[derived.valid], wanted.value[wanted.valid]),
        f"`derive` of {case.name} must derive of mirrored labels exactly the mirrored label.",
    )


def the_labels_that_it_reads_stay_as_they_are(case: RelationCase) -> None:
    relation = case.relation
    try:
        case.derive([with_gaps(truth(kind), 0) for kind in relation.reads])
    except ValueError as error:
        raise AssertionError(
            f"`derive` of {case.name} must not write into the labels that it reads; it raised {error!r}."
        ) from error


def a_camera_that_it_needs_is_demanded(case: RelationCase) -> None:
    relation = case.relation
    labels = [truth(kind) for kind in relation.reads]
    try:
        case.derive(labels, None)
    except LabelError:
        refused = True
    else:
        refused = False
    expect(
        refused == relation.needs_camera,
        f"`derive` of {case.name} must refuse an unknown camera, with a LabelError, if and only if "
        f"`needs_camera`, which is {relation.needs_camera}.",
    )


def rows_beyond_its_margin_change_nothing(case: RelationCase) -> None:
    margin = case.relation.margin
    labels = [truth(kind) for kind in case.relation.reads]
    camera = camera_of(labels)
    height = labels[0].size[0]
    if margin is None:
        raise NotForItError("it has no `margin`: it may look at the whole label")
    if height < 2 * margin + 3:
        raise NotForItError(f"its `margin` of {margin} rows is larger than the made labels")
    whole = rows_of(case.derive(labels, camera), slice(height - 2, height))
    first = height - 2 - margin
    parts = [rows_of(label, slice(first, height)) for label in labels]
    part = rows_of(case.derive(parts, camera.shift(0, first)), slice(margin, margin + 2))
    close = np.allclose(part.value[whole.valid], whole.value[whole.valid], atol=1e-5)
    expect(
        close and np.array_equal(part.valid, whole.valid),
        f"`derive` of {case.name} must not look further than `margin`, {margin} rows.",
    )


def a_guess_is_a_number(case: RelationCase) -> None:
    labels = [truth(kind) for kind in case.relation.reads]
    values = case.derive(labels).value
    expect(
        not case.relation.guesses or bool(np.isfinite(values).all()),
        f"`derive` of {case.name} must return finite values also where it is not sure, as `guesses` "
        "says: they become predictions.",
    )


def every_option_is_tried_that_labels_can_settle(case: RelationCase) -> None:
    relation = case.relation
    defaults = plugins.options_class("relations", case.name)()
    options = {field.name for field in fields(defaults)}
    values = defaultdict(list)
    for tried in relation.tries:
        for option, value in tried.items():
            values[option].append(value)
    finds = relation.finder(case.reads, case.gives).finds if relation.finder else ()
    for option in (*values, *finds, *relation.unsettled):
        expect(option in options, f"{case.name} names `{option}`, which is no option of it.")
    for option in options - {*finds, *relation.unsettled}:
        expect(
            option in values,
            f"`{option}` of {case.name} is neither tried nor found by labels: add it to `tries`, to "
            "`finder`, or to `unsettled` with the reason.",
        )
        expect(
            any(value != getattr(defaults, option) for value in values[option]),
            f"`tries` of {case.name} must give `{option}` two values at least, with the default.",
        )
    expect(
        all(relation.unsettled.values()),
        f"`unsettled` of {case.name} must say why labels do not settle each option.",
    )


def it_does_not_import_torch(case: RelationCase) -> None:
    run = run_alone(ALONE, case.name)
    expect(
        run.returncode == 0,
        f"{case.name} must say what it reads without importing torch; it ended with {run.returncode}: "
        f"{run.stderr[-400:]}",
    )


def predictable(case: RelationCase, predictions: Sequence["Tensor"]) -> "Target":
    """The target derived from predictions, with the camera of the made labels if needed."""
    import torch

    on_predictions = case.relation.on_predictions
    assert on_predictions is not None
    camera = None
    if case.relation.needs_camera:
        one = camera_of([truth(case.relation.reads[0])])
        camera = torch.tensor([[one.fx, one.fy, one.cx, one.cy]]).repeat(len(predictions[0]), 1)
    return on_predictions(case.reads, case.gives)(predictions, camera)


def certain(case: RelationCase) -> list["Tensor"]:
    """The made labels as predictions, for a batch of one image."""
    import torch

    if case.relation.on_predictions is None:
        raise NotForItError("it has no `on_predictions`, which is optional")
    predictions = []
    for task in case.reads:
        value = torch.from_numpy(truth(task.kind).value.copy())[None].movedim(3, 1)
        predictions.append(task.build().as_prediction(value))
    return predictions


def unsure(case: RelationCase, count: int = 2) -> list["Tensor"]:
    """Predictions of a batch that are near the made labels, but say nothing for certain."""
    import torch

    generator = torch.Generator().manual_seed(1)
    predictions = []
    for prediction in certain(case):
        many = prediction.repeat(count, 1, 1, 1)
        noise = torch.rand(many.shape, generator=generator)
        predictions.append(0.8 * many + 0.2 * noise / many.shape[1])
    return predictions


def certain_predictions_give_what_the_labels_give(case: RelationCase) -> None:
    derived = predictable(case, certain(case))
    wanted = case.derive([truth(kind) for kind in case.relation.reads])
    value = derived.value[0].movedim(0, 2).numpy()
    expect(
        value.shape == wanted.value.shape and derived.valid.shape == (1, 1, *wanted.size),
        f"What `on_predictions` of {case.name} derives must have the shape of the label; it has "
        f"{tuple(derived.value.shape)} and a mask of {tuple(derived.valid.shape)}.",
    )
    valid = derived.valid[0, 0].numpy()
    expect(
        bool(valid[wanted.valid].all()),
        f"What `on_predictions` of {case.name} derives must be valid wherever the label is.",
    )
    same = np.allclose(value[wanted.valid], wanted.value[wanted.valid], atol=CLOSE)
    expect(same, f"`on_predictions` of {case.name} must derive of certain predictions the label.")


def gradients_reach_what_it_reads(case: RelationCase) -> None:
    import torch

    predictions = [prediction.requires_grad_() for prediction in unsure(case)]
    derived = predictable(case, predictions)
    weights = torch.rand(derived.value.shape, generator=torch.Generator().manual_seed(2))
    total = (derived.value * weights * derived.valid).sum()
    gradients: Sequence[Tensor | None] = [None] * len(predictions)
    if total.requires_grad:
        gradients = torch.autograd.grad(total, predictions, allow_unused=True)
    for gradient in gradients:
        expect(
            gradient is not None and bool(gradient.any()),
            f"What `on_predictions` of {case.name} derives must have gradients to all that it reads.",
        )


def an_image_does_not_depend_on_others_of_the_batch(case: RelationCase) -> None:
    import torch

    predictions = unsure(case)
    others = [prediction.clone() for prediction in predictions]
    for prediction in others:
        prediction[0] = prediction[0].flip(-1)
    first = predictable(case, predictions)
    second = predictable(case, others)
    same = torch.equal(first.value[1], second.value[1])
    expect(
        same and torch.equal(first.valid[1], second.valid[1]),
        f"What `on_predictions` of {case.name} derives of an image must not depend on other images.",
    )


def what_is_not_finite_is_not_valid_and_spoils_no_gradient(case: RelationCase) -> None:
    import torch

    predictions = unsure(case)
    for prediction in predictions:
        prediction[0, :, 3, 4] = torch.nan
        prediction.requires_grad_()
    derived = predictable(case, predictions)
    expect(
        not derived.valid[0, 0, 3, 4]
        and bool(derived.value[derived.valid.expand_as(derived.value)].isfinite().all()),
        f"What `on_predictions` of {case.name} derives must not be valid where a prediction is NaN.",
    )
    torch.where(derived.valid, derived.value, 0).sum().backward()  # type: ignore[no-untyped-call]
    for prediction in predictions:
        expect(
            prediction.grad is None or bool(prediction.grad.isfinite().all()),
            f"`on_predictions` of {case.name} must keep gradients finite where a prediction is NaN.",
        )


#: The laws of a relation's `on_predictions`.
OF_PREDICTIONS: tuple[Callable[[RelationCase], None], ...] = (
    certain_predictions_give_what_the_labels_give,
    gradients_reach_what_it_reads,
    an_image_does_not_depend_on_others_of_the_batch,
    what_is_not_finite_is_not_valid_and_spoils_no_gradient,
)
LAWS: tuple[Callable[[RelationCase], None], ...] = (
    it_declares_kinds,
    it_derives_a_label_of_its_kind,
    nothing_is_valid_of_labels_that_are_nowhere_valid,
    what_is_not_valid_changes_nothing,
    what_is_far_from_all_that_is_valid_is_not_sure,
    a_mirrored_image_has_the_mirrored_label,
    the_labels_that_it_reads_stay_as_they_are,
    a_camera_that_it_needs_is_demanded,
    rows_beyond_its_margin_change_nothing,
    a_guess_is_a_number,
    every_option_is_tried_that_labels_can_settle,
    it_does_not_import_torch,
    *OF_PREDICTIONS,
)
