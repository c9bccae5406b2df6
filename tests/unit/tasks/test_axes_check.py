"""Exchanged and flipped axes of normals are told from where the normals lie."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.tasks.axes_check import Places, judge_places, places_of
from tests.rooms import room_labels

OPTIONS = SimpleNamespace(axes="x right, y up, z toward the camera")
Vectors = NDArray[np.float32]


def room(number: int) -> Vectors:
    return room_labels(number)["normals"].value


def ball(number: int) -> Vectors:
    """The normals [h, w, 3] of a ball from above, on a table that faces the camera and up."""
    rows, columns = np.indices((48, 64))
    x = (columns - 31.5 - number % 5) / 22
    y = (23.5 - rows) / 22 + 0.3
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    normals = np.stack([x, y, z], -1)
    normals[x**2 + y**2 > 0.98] = (0, 0.6, 0.8)
    return normals.astype(np.float32)


def places(normals: Vectors) -> Places | None:
    return places_of(normals, np.abs(normals).sum(-1) > 0, OPTIONS)


@pytest.mark.parametrize("things", [room, ball])
def test_right_normals_of_rooms_and_things_are_no_doubt(things: object) -> None:
    assert callable(things)
    assert judge_places([places(things(number)) for number in range(12)], OPTIONS) == ""


@pytest.mark.parametrize("things", [room, ball])
def test_exchanged_axes_are_named(things: object) -> None:
    assert callable(things)
    found = [places(things(number)[..., [1, 0, 2]]) for number in range(12)]
    assert '`axes = "x up, y right, z toward the camera"`' in judge_places(found, OPTIONS)


def test_floors_that_hang_are_named() -> None:
    from_above = [number for number in range(30) if room(number)[..., 1].mean() > 0.04]
    found = [places(room(number) * (1, -1, 1)) for number in from_above]
    assert '`axes = "x right, y down, z toward the camera"`' in judge_places(found, OPTIONS)


def test_few_labels_and_one_direction_say_nothing() -> None:
    assert (
        judge_places([places(room(number)[..., [1, 0, 2]]) for number in range(7)], OPTIONS) == ""
    )
    assert places(np.broadcast_to(np.float32([0, 0, 1]), (48, 64, 3))) is None
