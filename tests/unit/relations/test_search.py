"""Laws of the search for a relation's options and for the camera, on rooms."""

from collections.abc import Callable

import numpy as np
import pytest

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.agreement import TruePair, measure_relation
from labelgrid.relations.bound import BoundRelation, bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.derivations.depth_normals import TRIES
from labelgrid.relations.search import find_setting
from labelgrid.scenes.rooms import FOV
from labelgrid.tasks.task import definitions
from tests.rooms import room_labels
from tests.support import task_rows

SIZE = (96, 128)
TASKS = definitions(list(task_rows(("depth", "normals"))))
NORMALS = TASKS["normals"]
#: Fewer than all, for the time.
SOME = [options for options in TRIES if options["radius"] in (1, 2, 7)]


def bound(options: dict[str, object]) -> BoundRelation:
    return bind("depth_normals", RelationChoice(options=options), TASKS)


def pairs(count: int = 4, step: float = 0.001, size: tuple[int, int] = SIZE) -> list[TruePair]:
    """The labels of rooms as files hold them: depth in steps."""
    made = []
    for index in range(count):
        labels = room_labels(index, size)
        value = np.rint(labels["depth"].value / step) * step
        depth = LabelArray(value.astype(np.float32), labels["depth"].valid & (value[..., 0] > 0))
        made.append(TruePair({"depth": depth}, labels["normals"]))
    return made


def changed(made: list[TruePair], change: Callable[[np.ndarray], np.ndarray]) -> list[TruePair]:
    return [
        TruePair(pair.labels, LabelArray(change(pair.truth.value), pair.truth.valid))
        for pair in made
    ]


def test_the_field_of_view_of_rooms_is_found() -> None:
    setting = find_setting(bound, SOME, pairs(), NORMALS)
    assert setting is not None and setting.view == pytest.approx(FOV, rel=0.02)


@pytest.mark.parametrize("share", [0.55, 0.75])
def test_another_planted_field_of_view_is_found(share: float) -> None:
    """The middle of an image is what a camera of a longer focal length sees."""
    cut = []
    for pair in pairs(size=(128, 160)):
        height, width = (2 * round(side * share / 2) for side in pair.truth.size)
        top = (128 - height) // 2
        left = (160 - width) // 2
        part = (slice(top, top + height), slice(left, left + width))
        depth = pair.labels["depth"]
        labels = {"depth": LabelArray(depth.value[part], depth.valid[part])}
        cut.append(TruePair(labels, LabelArray(pair.truth.value[part], pair.truth.valid[part])))
    whole = np.tan(np.radians(FOV) / 2)
    planted = 2 * np.degrees(np.arctan(whole * width / 160))
    setting = find_setting(bound, SOME, cut, NORMALS)
    assert setting is not None and setting.view == pytest.approx(planted, rel=0.02)


def test_coarse_steps_of_depth_get_a_wide_window_and_the_camera_is_found_all_the_same() -> None:
    made = pairs(step=0.039, size=(192, 256))
    fine = find_setting(bound, SOME, pairs(), NORMALS)
    coarse = find_setting(bound, SOME, made, NORMALS)
    assert fine is not None and coarse is not None
    assert fine.options["radius"] < coarse.options["radius"]
    assert coarse.view == pytest.approx(FOV, rel=0.05)


def test_a_minimum_at_the_rim_of_the_search_is_refused() -> None:
    """All normals face ahead: the narrower the view, the better."""
    flat = changed(pairs(), lambda value: np.broadcast_to(np.float32([0, 0, 1]), value.shape))
    assert find_setting(bound, SOME, flat, NORMALS) is None


def test_permuted_axes_are_not_trusted_whatever_camera_is_found() -> None:
    permuted = changed(pairs(), lambda value: value[..., [1, 2, 0]])
    setting = find_setting(bound, SOME, permuted, NORMALS)
    if setting is not None:
        found = measure_relation(bound(setting.options), permuted, NORMALS, view=setting.view)
        assert found is None or found.trust == 0


def test_known_cameras_are_used_and_no_field_of_view_is_searched() -> None:
    known = [
        TruePair(pair.labels, pair.truth, Camera.of_view(FOV, SIZE)) for pair in pairs(count=3)
    ]
    setting = find_setting(bound, SOME, known, NORMALS)
    assert setting is not None and setting.view is None
    found = measure_relation(bound(setting.options), known, NORMALS)
    assert found is not None and found.trust > 0.9


def test_without_a_choice_the_options_stay() -> None:
    setting = find_setting(bound, [{"radius": 3}], pairs(), NORMALS)
    assert setting is not None and setting.options == {"radius": 3}
