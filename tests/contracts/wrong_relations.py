"""Relations that each break one law: a right one with one fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import Derive, DerivePredicted, Relation

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target


@dataclass(frozen=True)
class Options:
    """One that changes nothing."""

    unused: int = 0


def twice(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
    """Twice the depth: as through twice the focal length."""
    if camera is None:
        raise LabelError("The camera is unknown.", next_step="Give it.")
    (depth,) = labels
    value = np.where(depth.valid[..., None], 2 * depth.value, 0)
    return LabelArray(value, depth.valid)


def predicted_twice(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
    """As `twice`, of predictions."""
    import torch

    from labelgrid.pixel.target import Target

    (depth,) = predictions
    valid = depth.isfinite()
    return Target(2 * torch.where(valid, depth, 0), valid)


def by(derive: Derive, predicted: DerivePredicted = predicted_twice) -> Relation:
    """The relation that derives so, whatever the tasks."""
    return Relation(
        reads=("depth",),
        gives="depth",
        between=lambda _reads, _gives: derive,
        needs_camera=True,
        on_predictions=lambda _reads, _gives: predicted,
        unsettled={"unused": "nothing depends on it"},
    )


RIGHT = by(twice)


def right(_options: object) -> Relation:
    return RIGHT


def reads_no_kind(_options: object) -> Relation:
    return replace(RIGHT, reads=("distance",))


def gives_no_kind(_options: object) -> Relation:
    return replace(RIGHT, gives="distance")


def reads_nothing(_options: object) -> Relation:
    return replace(RIGHT, reads=())


def widens(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return replace(label, value=label.value.astype(np.float64))

    return by(derive)


def crops(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return LabelArray(label.value[1:], label.valid[1:])

    return by(derive)


def is_never_sure(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return replace(label, valid=np.zeros_like(label.valid))

    return by(derive)


def is_always_sure(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return replace(label, valid=np.ones_like(label.valid))

    return by(derive)


def looks_behind_the_mask(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return replace(label, value=label.value + np.float32(labels[0].value.max()))

    return by(derive)


def fills_all_gaps(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return replace(label, valid=np.full_like(label.valid, label.valid.any()))

    return by(derive)


def takes_the_left_neighbour(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        return LabelArray(np.roll(label.value, 1, 1), np.roll(label.valid, 1, 1))

    return by(derive)


def writes_into_its_labels(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        labels[0].value[~labels[0].valid] = 0
        return twice(labels, camera)

    return by(derive)


def assumes_a_camera(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        return twice(labels, camera or Camera(1.0, 1.0, 0.0, 0.0))

    return by(derive)


def looks_too_far(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        above = np.roll(label.value, 3, 0)
        above[:3] = 0
        return replace(label, value=label.value + above * label.valid[..., None])

    return replace(by(derive), margin=2)


def guesses_nothing(_options: object) -> Relation:
    def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        label = twice(labels, camera)
        valid = label.valid.copy()
        valid[0, 0] = False
        return LabelArray(np.where(valid[..., None], label.value, np.float32(np.nan)), valid)

    return replace(by(derive), guesses=True)


def leaves_an_option_to_chance(_options: object) -> Relation:
    return replace(RIGHT, unsettled={})


def gives_no_reason(_options: object) -> Relation:
    return replace(RIGHT, unsettled={"unused": ""})


def tries_what_is_no_option(_options: object) -> Relation:
    return replace(RIGHT, tries=({"radius": 1},))


def tries_one_value(_options: object) -> Relation:
    return replace(RIGHT, tries=({"unused": 0},), unsettled={})


def loads_torch(_options: object) -> Relation:
    import torch

    assert torch
    return RIGHT


def predicts_half(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, value=found.value / 4)

    return by(twice, derive)


def predicts_one_row_less(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, value=found.value[:, :, 1:])

    return by(twice, derive)


def predicts_too_little(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, valid=found.valid & (found.value < found.value.median()))

    return by(twice, derive)


def stops_gradients(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, value=found.value.detach())

    return by(twice, derive)


def looks_at_the_batch(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, value=found.value.flip(0).flip(3))

    return by(twice, derive)


def believes_what_is_not_finite(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        found = predicted_twice(predictions, None)
        return replace(found, valid=found.valid | ~found.valid)

    return by(twice, derive)


def divides_by_what_is_not_finite(_options: object) -> Relation:
    def derive(predictions: Sequence[Tensor], _camera: Tensor | None) -> Target:
        import torch

        (depth,) = predictions
        found = predicted_twice(predictions, None)
        return replace(found, value=torch.where(found.valid, 2 * depth**2 / depth, 0))

    return by(twice, derive)


LAW_OF_OPTIONS = "every_option_is_tried_that_labels_can_settle"
#: A law, a relation that breaks it, and words of the message to the relation's author.
BREAKS = (
    ("it_declares_kinds", reads_no_kind, "`reads` .* must be one or more kinds"),
    ("it_declares_kinds", reads_nothing, "`reads` .* must be one or more kinds"),
    ("it_declares_kinds", gives_no_kind, "`gives` .* must be a kind"),
    ("it_derives_a_label_of_its_kind", widens, "values of float32"),
    ("it_derives_a_label_of_its_kind", crops, "of the size of those that it reads"),
    ("it_derives_a_label_of_its_kind", is_never_sure, "some valid pixel"),
    ("nothing_is_valid_of_labels_that_are_nowhere_valid", is_always_sure, "no valid pixel"),
    ("what_is_not_valid_changes_nothing", looks_behind_the_mask, "must not change"),
    ("what_is_far_from_all_that_is_valid_is_not_sure", fills_all_gaps, "must not be sure"),
    ("a_mirrored_image_has_the_mirrored_label", takes_the_left_neighbour, "exactly the mirrored"),
    ("the_labels_that_it_reads_stay_as_they_are", writes_into_its_labels, "must not write"),
    ("a_camera_that_it_needs_is_demanded", assumes_a_camera, "with a LabelError"),
    ("rows_beyond_its_margin_change_nothing", looks_too_far, "further than `margin`, 2"),
    ("a_guess_is_a_number", guesses_nothing, "finite values"),
    (LAW_OF_OPTIONS, leaves_an_option_to_chance, "`unused` .* neither tried nor found"),
    (LAW_OF_OPTIONS, gives_no_reason, "must say why"),
    (LAW_OF_OPTIONS, tries_what_is_no_option, "`radius`, which is no option"),
    (LAW_OF_OPTIONS, tries_one_value, "`unused` two values"),
    ("it_does_not_import_torch", loads_torch, "without importing torch"),
)

#: The same for the laws of relations on predictions.
BREAKS_PREDICTED = (
    ("certain_predictions_give_what_the_labels_give", predicts_half, "certain predictions"),
    ("certain_predictions_give_what_the_labels_give", predicts_one_row_less, "the shape of"),
    ("certain_predictions_give_what_the_labels_give", predicts_too_little, "wherever the label"),
    ("gradients_reach_what_it_reads", stops_gradients, "gradients to all"),
    ("an_image_does_not_depend_on_others_of_the_batch", looks_at_the_batch, "on other images"),
    (
        "what_is_not_finite_is_not_valid_and_spoils_no_gradient",
        believes_what_is_not_finite,
        "where a prediction is NaN",
    ),
    (
        "what_is_not_finite_is_not_valid_and_spoils_no_gradient",
        divides_by_what_is_not_finite,
        "gradients finite",
    ),
)
