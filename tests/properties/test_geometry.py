"""For any image size, canvas, fit, zoom and flip: labels follow their pixels, and values obey the laws of geometry."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelgrid.data.data_options import DataOptions
from labelgrid.data.transforms import (
    Example,
    augment,
    draw_placement,
    fit_placement,
    place,
    place_label,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import definitions
from tests.support import task_rows

TASKS = definitions(task_rows(("semseg", "depth", "normals")))
PALETTE = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)

sizes = st.tuples(st.integers(24, 90), st.integers(24, 90))
options = st.builds(
    DataOptions,
    size=sizes,
    fit=st.sampled_from(["resize", "crop", "pad"]),
    flip=st.sampled_from([0.0, 1.0]),
    zoom=st.sampled_from([(1.0,), (1.2,), (1.5,), (0.75,), (1.0, 1.2, 1.5)]),
    at=st.sampled_from(["random", "centre"]),
)
seeds = st.integers(0, 2**20)
SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def painted(size: tuple[int, int], rng: np.random.Generator) -> Example:
    """Rectangles whose colour, class, depth (class + 1) and normal all say the same."""
    index = np.zeros(size, np.int64)
    for colour in (1, 2, 3):
        y, x = (int(rng.integers(0, length - 4)) for length in size)
        index[y : y + size[0] // 2 + 2, x : x + size[1] // 2 + 2] = colour
    normals = np.array([(0, 0, 1), (1, 0, 0), (0, 1, 0), (-0.6, 0, 0.8)], np.float32)[index]
    valid = np.ones(size, bool)
    labels = {
        "semseg": index[..., None],
        "depth": (index[..., None] + 1).astype(np.float32),
        "normals": normals,
    }
    return Example(
        PALETTE[index], {name: LabelArray(value, valid) for name, value in labels.items()}
    )


@SETTINGS
@given(sizes, options, seeds)
def test_a_pixel_of_one_pure_colour_has_that_colours_label(size, data, seed):
    rng = np.random.default_rng(seed)
    before = painted(size, rng)
    view = augment(before, TASKS, data, np.random.default_rng(seed))
    semseg, depth = view.labels["semseg"], view.labels["depth"]
    pure = (view.image[:, :, None] == PALETTE).all(-1)
    shown = semseg.valid & pure.any(-1)
    assert (pure.argmax(-1) == semseg.value[..., 0])[shown].all()
    assert shown.any()
    zoom = draw_placement(size, data, np.random.default_rng(seed)).zoom
    assert np.allclose((depth.value * zoom)[semseg.valid], (semseg.value + 1)[semseg.valid])


@SETTINGS
@given(sizes, options, seeds, st.floats(0, 1), st.floats(0, 1))
def test_the_label_of_a_canvas_pixel_is_that_of_the_image_point_under_its_centre(
    size, data, seed, v, u
):
    placement = draw_placement(size, data, np.random.default_rng(seed))
    (rows, columns), (height, width) = placement.target, placement.extent
    i, j = (
        rows.start + min(int(v * height), height - 1),
        columns.start + min(int(u * width), width - 1),
    )
    label = LabelArray(np.arange(size[0] * size[1]).reshape(*size, 1), np.ones(size, bool))
    placed = place_label(label, placement, TASKS["semseg"])
    source_rows, source_columns = placement.source
    y = source_rows.start + (i - rows.start + 0.5) * (source_rows.stop - source_rows.start) / height
    x = (
        source_columns.start
        + (j - columns.start + 0.5) * (source_columns.stop - source_columns.start) / width
    )
    shown = placed.value[i, placement.canvas[1] - 1 - j if placement.flip else j, 0]
    assert (abs(shown // size[1] + 0.5 - y) <= 0.5 + 1e-9) and (
        abs(shown % size[1] + 0.5 - x) <= 0.5 + 1e-9
    )


@SETTINGS
@given(sizes, options, seeds)
def test_flipping_twice_is_the_identity(size, data, seed):
    before = painted(size, np.random.default_rng(seed))
    once = DataOptions(size=size, flip=1)
    turned = augment(before, TASKS, once, np.random.default_rng(0))
    twice = augment(Example(turned.image, turned.labels), TASKS, once, np.random.default_rng(0))
    assert (twice.image == before.image).all()
    for name, label in before.labels.items():
        assert np.allclose(twice.labels[name].value, label.value, atol=1e-6)


@SETTINGS
@given(sizes, options, seeds)
def test_the_canvas_has_its_size_and_normals_stay_unit_vectors(size, data, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(*size, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    valid = rng.random(size) > 0.2
    vectors[~valid] = np.nan
    view = augment(
        Example(np.zeros((*size, 3), np.uint8), {"normals": LabelArray(vectors, valid)}),
        TASKS,
        data,
        rng,
    )
    assert view.image.shape == (*data.size, 3)
    normals = view.labels["normals"]
    assert normals.valid.shape == data.size
    assert np.allclose(np.linalg.norm(normals.value[normals.valid], axis=-1), 1, atol=1e-5)


@SETTINGS
@given(sizes, options, seeds)
def test_things_look_larger_by_the_zoom(size, data, seed):
    zoomed, plain = (
        draw_placement(size, data, np.random.default_rng(seed)),
        fit_placement(size, data),
    )
    for axis in range(2):
        source, shown = zoomed.source[axis], zoomed.extent[axis]
        scale = shown / (source.stop - source.start)
        least = max(1.0, 0.5 * zoomed.zoom)
        expected = plain.extent[axis] / size[axis] * zoomed.zoom
        assert (
            abs(scale / expected - 1)
            < least / min(shown, source.stop - source.start) + 0.5 / plain.extent[axis]
        )


@SETTINGS
@given(sizes, sizes, st.sampled_from(["resize", "crop", "pad"]), seeds)
def test_at_evaluation_every_image_point_is_on_the_canvas(size, canvas, fit, seed):
    data = DataOptions(size=canvas, fit=fit)
    placement = fit_placement(size, data)
    view = place(painted(size, np.random.default_rng(seed)), placement, TASKS, data)
    assert placement.source == (slice(0, size[0]), slice(0, size[1]))
    assert view.image.shape[:2] == placement.canvas
    assert view.labels["semseg"].valid.sum() == placement.extent[0] * placement.extent[1]
