"""Laws of the search for a relation's options and for the camera, on rooms."""

from collections.abc import Callable

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.rooms import FOV
from labelgrid.relations.bound import BoundRelation, bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.derivations.depth_normals import ROUGHLY, TRIES
from labelgrid.relations.search import OptionSearch
from labelgrid.relations.true_agreement import TruePair, measure_relation
from labelgrid.tasks.task import definitions
from tests.option_search import search_of
from tests.rooms import room_labels
from tests.support import task_rows

SIZE = (96, 128)
TASKS = definitions(list(task_rows(("depth", "normals"))))
NORMALS = TASKS["normals"]
#: Fewer than all, for the time.
SOME = [options for options in ROUGHLY if options["radius"] in (1, 2, 6)]


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


def searched(made: list[TruePair]) -> OptionSearch:
    return search_of(bound, SOME, made, NORMALS)


def test_the_field_of_view_of_rooms_is_found() -> None:
    assert searched(pairs()).view == pytest.approx(FOV, rel=0.02)


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
    assert searched(cut).view == pytest.approx(planted, rel=0.02)


def test_coarse_steps_of_depth_get_a_wide_window_and_the_camera_is_found_all_the_same() -> None:
    coarse = searched(pairs(step=0.039, size=(192, 256)))
    fine = searched(pairs()).best()
    wide = coarse.best()
    assert fine is not None and wide is not None
    assert fine["radius"] < wide["radius"]
    assert coarse.view == pytest.approx(FOV, rel=0.05)


def test_a_minimum_at_the_rim_of_the_search_is_refused() -> None:
    """All normals face ahead: the narrower the view, the better."""
    flat = changed(pairs(), lambda value: np.broadcast_to(np.float32([0, 0, 1]), value.shape))
    search = searched(flat)
    assert search.needs_view and search.view is None


def test_permuted_axes_are_not_trusted_whatever_camera_is_found() -> None:
    permuted = changed(pairs(), lambda value: value[..., [1, 2, 0]])
    search = searched(permuted)
    if search.view is not None:
        found = measure_relation(bound(search.best()), permuted, NORMALS, view=search.view)
        assert found is None or found.trust == 0


def test_known_cameras_are_used_and_no_field_of_view_is_searched() -> None:
    known = [
        TruePair(pair.labels, pair.truth, Camera.of_view(FOV, SIZE)) for pair in pairs(count=3)
    ]
    search = searched(known)
    assert search.view is None and not search.needs_view
    found = measure_relation(bound(search.best()), known, NORMALS)
    assert found is not None and found.trust > 0.9


def test_without_a_choice_the_options_stay() -> None:
    assert search_of(bound, [{"radius": 3}], pairs(), NORMALS).best() == {"radius": 3}


def with_normals_of(options: dict[str, object], count: int = 4) -> list[TruePair]:
    """Rooms with known cameras, and the normals that follow with these options."""
    made = []
    for pair in pairs(count, step=0.039):
        known = TruePair(pair.labels, pair.truth, Camera.of_view(FOV, SIZE))
        made.append(TruePair(pair.labels, known.derive(bound(options)), known.camera))
    return made


def test_normals_of_a_wide_window_over_all_edges_are_found_as_such() -> None:
    """So are those of NYUv2 made."""
    made = with_normals_of({"radius": 6, "residual": 89.0})
    options = search_of(bound, [{}, *TRIES], made, NORMALS).best()
    assert options is not None
    found = measure_relation(bound(options), made, NORMALS)
    assert options["radius"] == 6
    assert found is not None and found.trust == 1 and found.coverage == 1


def test_options_of_other_names_are_tried_with_the_best_of_those_before() -> None:
    tries = [{}, {"radius": 3}, {"radius": 6}, {"residual": 89.0}]
    made = with_normals_of({"radius": 6, "residual": 89.0})
    assert search_of(bound, tries, made, NORMALS).best() == {"radius": 6, "residual": 89.0}


def test_an_image_that_is_left_out_chooses_nothing() -> None:
    narrow = with_normals_of({"radius": 1, "residual": 89.0})
    wide = with_normals_of({"radius": 7, "residual": 89.0})
    tries = [{"radius": radius, "residual": 89.0} for radius in (1, 7)]
    search = search_of(bound, tries, [narrow[0], wide[1]], NORMALS)
    assert search.best(without=0) == tries[1]
    assert search.best(without=1) == tries[0]
