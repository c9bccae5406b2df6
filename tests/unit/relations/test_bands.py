"""Laws of thinning large images: what is derived in bands is what is derived of the whole."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.rooms import FOV
from labelgrid.relations import bands
from labelgrid.relations.bands import BANDS, BandedPair, thin_pair
from labelgrid.relations.bound import BoundRelation, bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.true_agreement import TruePair, measure_relation
from labelgrid.tasks.task import definitions
from tests.option_search import search_of
from tests.rooms import room_labels
from tests.support import task_rows

SIZE = (240, 320)
TASKS = definitions(list(task_rows(("depth", "normals"))))


def bound(options: dict[str, object]) -> BoundRelation:
    return bind("depth_normals", RelationChoice(options=options), TASKS)


def noisy_pairs(count: int) -> list[TruePair]:
    """Rooms whose depth was measured to a few parts in a thousand."""
    made = []
    for index in range(count):
        labels = room_labels(index, SIZE)
        noise = np.random.default_rng(index).normal(size=(*SIZE, 1))
        depth = labels["depth"].value * (1 + 0.003 * noise)
        label = LabelArray(depth.astype(np.float32), labels["depth"].valid)
        made.append(TruePair({"depth": label}, labels["normals"]))
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A quarter of the rooms' pixels is kept."""
    monkeypatch.setattr(bands, "PIXELS", SIZE[0] * SIZE[1] // 4)
    return SIZE[0] // 4


@pytest.mark.parametrize("radius", [2, 11])
@pytest.mark.parametrize("camera", [None, Camera(300.0, 310.0, 150.0, 130.0)])
def test_bands_are_rows_of_the_whole_image(small: int, radius: int, camera: Camera | None) -> None:
    pair = replace(noisy_pairs(1)[0], camera=camera)
    relation = bound({"radius": radius})
    thin = thin_pair(pair, 11)
    assert isinstance(thin, BandedPair) and thin.truth.size == (small // BANDS * BANDS, SIZE[1])
    whole = pair.derive(relation, FOV)
    found = thin.derive(relation, FOV)
    rows = []
    for band in thin.bands:
        start = band.first + band.above
        rows += range(start, start + band.rows)
    assert len(set(rows)) == len(rows) and rows == sorted(rows)
    assert rows[0] < small and rows[-1] >= SIZE[0] - small
    assert np.array_equal(found.valid, whole.valid[rows])
    np.testing.assert_allclose(found.value, whole.value[rows], atol=1e-5)
    assert np.array_equal(thin.truth.value, pair.truth.value[rows])


def test_the_search_finds_in_bands_what_it_finds_in_whole_images(small: int) -> None:
    pairs = noisy_pairs(4)
    tries = [{"radius": radius, "residual": 45.0} for radius in (1, 4)]
    found = []
    for made in (pairs, [thin_pair(pair, 4) for pair in pairs]):
        search = search_of(bound, tries, made, TASKS["normals"])
        options = search.best()
        assert options is not None and search.view is not None
        measured = measure_relation(bound(dict(options)), pairs, TASKS["normals"], view=search.view)
        assert measured is not None
        found.append((options, search.view, measured))
    (options, view, measured), (in_bands, view_in_bands, with_bands) = found
    assert in_bands == options
    assert view_in_bands == pytest.approx(view, rel=0.02)
    angle = measured.figures["mean angle"]
    assert angle.low <= with_bands.figures["mean angle"].value <= angle.high
    assert with_bands.trust == pytest.approx(measured.trust, abs=0.01)


def test_smaller_images_stay_whole() -> None:
    (pair,) = noisy_pairs(1)
    assert thin_pair(pair, 2) is pair
