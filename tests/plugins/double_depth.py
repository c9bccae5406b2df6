"""Twice the depth, as through twice the focal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import Relation


@dataclass(frozen=True)
class Options:
    """There are none."""


def double(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
    if camera is None:
        raise LabelError("The camera is unknown.", next_step="Give it.")
    (depth,) = labels
    return LabelArray(np.where(depth.valid[..., None], 2 * depth.value, 0), depth.valid)


def build(options: Options) -> Relation:
    return Relation(
        reads=("depth",), gives="depth", between=lambda _reads, _gives: double, needs_camera=True
    )
