"""Relations that each break one law: a right one with one fault."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.camera import Camera
from labelgrid.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import Derive, Relation


@dataclass(frozen=True)
class Options:
    """No options."""


def twice(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
    """Twice the depth: as through twice the focal length."""
    if camera is None:
        raise LabelError("The camera is unknown.", next_step="Give it.")
    (depth,) = labels
    value = np.where(depth.valid[..., None], 2 * depth.value, 0)
    return LabelArray(value, depth.valid)


def by(derive: Derive) -> Relation:
    """The relation that derives so, whatever the tasks."""
    return Relation(
        reads=("depth",),
        gives="depth",
        between=lambda _reads, _gives: derive,
        needs_camera=True,
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


def loads_torch(_options: object) -> Relation:
    import torch

    assert torch
    return RIGHT


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
    ("it_does_not_import_torch", loads_torch, "without importing torch"),
)
