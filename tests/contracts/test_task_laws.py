"""The laws of kinds of task reject wrong kinds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.prediction import value_target
from labelgrid.pixel.target import Target
from labelgrid.tasks.placement import Placement, same_values
from labelgrid.tasks.scale import Scale
from labelgrid.tasks.task import TaskDef, spec_of
from labelgrid.testing.worlds import (
    TRUTHS,
    a_flip_undone_is_the_label,
    a_mirrored_prediction_is_that_of_the_image,
    a_prediction_survives_the_label_file,
    mirroring_and_activating_commute,
    normals,
    seen,
    views_show_the_world,
)

OPTIONS = {"classes": {"classes": ["wall", "floor", "bed", "lamp"]}}
#: A label with a hole on one side.
NARROW = LabelArray(normals(False, 1.0), seen(False, 1.0)[0] > -0.5)


def changed(kind: str, **functions: Any) -> TaskDef:
    """A kind with some functions of its `SPEC` replaced."""
    own = TaskDef.of(TaskRow("wrong", kind, 1.0, OPTIONS.get(spec_of(kind).codec, {})))
    return dataclasses.replace(own, spec=dataclasses.replace(own.spec, **functions))


def unturned(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    return same_values(value, valid, geometry, options)


def unflipped(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    return same_values(value, valid, dataclasses.replace(geometry, flip=False), options)


def one_aside(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    return same_values(np.roll(value, 1, 1), np.roll(valid, 1, 1), geometry, options)


def half_flipped(value: Any, valid: Any, geometry: Placement, options: Any) -> Any:
    straight = dataclasses.replace(geometry, flip=False)
    return geometry.nearest(value), straight.nearest(valid)


@pytest.mark.parametrize(
    ("kind", "transform"),
    [
        ("normals", unturned),
        ("depth", unturned),
        ("semseg", unflipped),
        ("normals", unflipped),
        ("depth", one_aside),
    ],
)
def test_a_view_that_forgets_a_sign_a_zoom_or_the_flip_is_found(kind: str, transform: Any) -> None:
    wrong = changed(kind, transform=transform)
    with pytest.raises(AssertionError, match="of the values are the world's"):
        views_show_the_world(wrong, TRUTHS[wrong.spec.codec])


@pytest.mark.parametrize("transform", [unflipped, half_flipped, one_aside])
def test_a_flip_that_moves_values_and_holes_differently_is_found(transform: Any) -> None:
    with pytest.raises(AssertionError):
        a_flip_undone_is_the_label(changed("normals", transform=transform), NARROW)


def test_a_mirrored_prediction_that_forgets_a_sign_is_found() -> None:
    own = changed("normals")
    wrong = dataclasses.replace(own.build(), scale=Scale())
    with pytest.raises(AssertionError):
        a_mirrored_prediction_is_that_of_the_image(own, wrong, NARROW)


def test_an_activation_that_knows_left_from_right_is_found() -> None:
    right = changed("normals").build()
    wrong = dataclasses.replace(right, activate=lambda raw: right.activate(raw + 0.5))
    with pytest.raises(AssertionError, match="must change raw outputs"):
        mirroring_and_activating_commute(wrong, torch.ones(1, 3, 2, 2))


@pytest.mark.parametrize(
    ("kind", "to_target"),
    [
        ("semseg", value_target),  # probabilities in place of classes
        (
            "semseg",
            lambda p: Target(
                p.argmin(1, keepdim=True) + 4, torch.ones_like(p[:, :1], dtype=torch.bool)
            ),
        ),
        ("edges", value_target),
        ("normals", value_target),  # vectors of any length
        ("depth", value_target),  # distances below 0
    ],
)
def test_a_prediction_that_is_lost_in_its_label_file_is_found(
    kind: str, to_target: Any, tmp_path: Path
) -> None:
    own = changed(kind)
    wrong = dataclasses.replace(own.build(), to_target=to_target)
    raw = 3 * torch.randn(1, wrong.channels, 6, 7, generator=torch.Generator().manual_seed(0))
    shares = raw.sigmoid() if kind != "depth" else raw
    with pytest.raises((AssertionError, LabelError)):
        a_prediction_survives_the_label_file(own, wrong, shares, tmp_path)
