"""Laws of the placement of image and labels: what is where, and what geometry does to values."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.basics.config import parse
from labelgrid.basics.errors import RecipeError
from labelgrid.data.data_options import DataOptions
from labelgrid.data.transforms import (
    Example,
    augment,
    draw_placement,
    fit_placement,
    place,
    place_image,
    place_label,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef, definitions
from tests.support import make_scene, task_rows

COVERS = ["labelgrid.data.data_options"]
TASKS = definitions(task_rows())
DISPARITY = TaskDef.of(TaskRow("stereo", "depth", 1.0, {"disparity": True}))
RNG = np.random.default_rng(0)


def full(value: np.ndarray) -> LabelArray:
    return LabelArray(value, np.ones(value.shape[:2], bool))


def example(size: tuple[int, int] = (48, 64)) -> Example:
    scene = make_scene(RNG, size)
    labels = {
        "semseg": full(scene.semseg.astype(np.int64)[..., None]),
        "depth": full(scene.depth.astype(np.float32)[..., None]),
        "normals": full(scene.normals.astype(np.float32)),
    }
    return Example(scene.image, labels)


def test_the_confidence_of_a_sparse_label_is_that_of_the_pixels_it_takes():
    rng = np.random.default_rng(5)
    valid = rng.random((64, 64)) < 0.1
    numbers = rng.random((64, 64)).astype(np.float32) * 0.8 + 0.1
    label = LabelArray(numbers[..., None], valid).with_confidence(numbers)
    placement = replace(fit_placement((64, 64), DataOptions(size=(16, 16))), flip=True)
    placed = place_label(label, placement, TASKS["depth"])
    assert placed.valid.mean() > 0.5 and placed.confidence is not None
    np.testing.assert_array_equal(placed.confidence[placed.valid], placed.value[placed.valid][:, 0])


def test_an_image_of_the_training_size_is_left_as_it_is():
    before = example((48, 64))
    options = DataOptions(size=(48, 64))
    after = place(before, fit_placement((48, 64), options), TASKS, options)
    assert (after.image == before.image).all()
    for name, label in before.labels.items():
        assert np.allclose(after.labels[name].value, label.value, atol=1e-6), name
        assert after.labels[name].valid.all()


@pytest.mark.parametrize("size", [(30, 40), (40, 30), (96, 128), (50, 200), (1, 1), (7, 300)])
def test_resize_fills_the_canvas_with_the_whole_image(size):
    placement = fit_placement(size, DataOptions(size=(48, 64)))
    assert placement.source == (slice(0, size[0]), slice(0, size[1]))
    assert placement.target == (slice(0, 48), slice(0, 64))


@pytest.mark.parametrize(
    ("size", "canvas"),
    [((480, 640), (64, 85)), ((640, 480), (85, 64)), ((64, 64), (64, 64)), ((10, 30), (64, 192))],
)
def test_at_evaluation_crop_cuts_nothing_and_keeps_the_shape(size, canvas):
    placement = fit_placement(size, DataOptions(size=(64, 64), fit="crop"))
    assert placement.source == (slice(0, size[0]), slice(0, size[1]))
    assert placement.canvas == placement.extent == canvas


def test_in_training_crop_fills_the_canvas_and_keeps_the_shape():
    options = DataOptions(size=(64, 64), fit="crop", flip=0)
    starts = set()
    for _ in range(50):
        placement = draw_placement((480, 640), options, RNG)
        rows, columns = placement.source
        assert rows == slice(0, 480)
        assert columns.stop - columns.start == 480
        assert columns.stop <= 640
        assert placement.extent == placement.canvas == (64, 64)
        starts.add(columns.start)
    assert min(starts) < 30
    assert max(starts) > 130


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (5, 100), (100, 5)])
def test_pad_keeps_the_shape_and_what_is_left_is_not_valid_in_any_label(size):
    options = DataOptions(size=(64, 64), fit="pad")
    placement = fit_placement(size, options)
    height, width = placement.extent
    assert max(height, width) == 64
    assert min(height, width) == round(64 * min(size) / max(size))
    label = place_label(full(np.zeros((*size, 1), np.int64)), placement, TASKS["semseg"])
    inside = np.zeros((64, 64), bool)
    inside[placement.target] = True
    assert (label.valid == inside).all()
    image = place_image(np.zeros((*size, 3), np.uint8), placement, options)
    assert (image[~inside] == np.rint(255 * np.array(options.mean))).all()
    assert not image[inside].any()


def test_zooming_out_pads_and_padding_is_no_class():
    options = DataOptions(size=(48, 64), zoom=(0.5,), flip=0)
    label = place_label(
        full(np.zeros((48, 64, 1), np.int64)),
        draw_placement((48, 64), options, RNG),
        TASKS["semseg"],
    )
    assert label.valid.sum() == 24 * 32
    assert label.valid[12:36, 16:48].all()


def test_a_zoom_about_the_centre_is_the_surveys():
    options = DataOptions(size=(48, 64), zoom=(1.5,), at="centre", flip=0)
    assert draw_placement((480, 640), options, RNG).source == (slice(80, 400), slice(106, 533))


def test_zooms_flips_and_places_are_drawn_as_often_whatever_is_switched_on():
    ends = set()
    for options in (
        DataOptions(),
        DataOptions(flip=0, zoom=(1, 1.2, 1.5), jitter=0.4, at="centre", fit="crop"),
    ):
        rng = np.random.default_rng(7)
        augment(example(), TASKS, options, rng)
        ends.add(float(rng.random()))
    assert len(ends) == 1


def test_depth_is_divided_by_the_zoom_and_disparity_multiplied_but_no_fit_changes_them():
    label = full(np.full((48, 64, 1), 3.0, np.float32))
    zoomed = draw_placement((48, 64), DataOptions(size=(96, 128), zoom=(1.5,)), RNG)
    assert np.allclose(place_label(label, zoomed, TASKS["depth"]).value, 2)
    assert np.allclose(place_label(label, zoomed, DISPARITY).value, 4.5)
    assert np.allclose(place_label(label, zoomed, TASKS["semseg"]).value, 3)
    for fit in ("resize", "crop", "pad"):
        placed = place_label(
            label, fit_placement((48, 64), DataOptions(size=(20, 50), fit=fit)), TASKS["depth"]
        )
        assert (placed.value[placed.valid] == 3).all()


def test_a_flip_turns_the_x_of_normals():
    before = example()
    options = DataOptions(size=(48, 64), flip=1)
    after = augment(before, TASKS, options, RNG)
    assert (after.image == before.image[:, ::-1]).all()
    assert (after.labels["semseg"].value == before.labels["semseg"].value[:, ::-1]).all()
    assert all(
        part.flags.c_contiguous
        for label in after.labels.values()
        for part in (label.value, label.valid)
    )
    turned = before.labels["normals"].value[:, ::-1] * np.array([-1, 1, 1])
    assert np.allclose(after.labels["normals"].value, turned, atol=1e-6)


def test_resized_normals_blend_valid_neighbours_and_only_those():
    value = np.zeros((1, 4, 3), np.float32)
    value[0, :2] = (0.6, 0, 0.8)
    value[0, 2:] = (-0.6, 0, 0.8)
    valid = np.array([[False, True, True, True]])
    value[0, 0] = np.nan
    label = place_label(
        LabelArray(value, valid), fit_placement((1, 4), DataOptions(size=(1, 8))), TASKS["normals"]
    )
    assert label.valid[0].tolist() == [False, False] + [True] * 6
    assert np.allclose(
        label.value[0, 2], (0.6, 0, 0.8), atol=1e-6
    )  # beside the hole: nothing of it
    mixed = np.array([0.3, 0, 0.8]) / np.linalg.norm([0.3, 0, 0.8])
    assert np.allclose(label.value[0, 3], mixed, atol=1e-6)


def test_opposite_normals_blend_to_no_vector_and_the_nearest_is_taken():
    value = np.array([[[1, 0, 0], [-1, 0, 0]]], np.float32)
    label = place_label(
        full(value), fit_placement((1, 2), DataOptions(size=(1, 3))), TASKS["normals"]
    )
    assert np.allclose(np.linalg.norm(label.value, axis=-1), 1)


def turned_by(
    angle: float, size: tuple[int, int], canvas: tuple[int, int], zoom: float = 1.0, **values
) -> Placement:
    options = DataOptions(size=canvas, zoom=(zoom,), at="centre", flip=0.0)
    return replace(draw_placement(size, options, np.random.default_rng(0)), angle=angle, **values)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_moves_each_pixel_to_one_place_clockwise(quarters):
    before = example((32, 32))
    hole = before.labels["depth"].valid.copy()
    hole[:5, :3] = False
    before = replace(
        before, labels={**before.labels, "depth": replace(before.labels["depth"], valid=hole)}
    )
    after = place(
        before, turned_by(90.0 * quarters, (32, 32), (32, 32)), TASKS, DataOptions(size=(32, 32))
    )
    assert np.abs(after.image.astype(int) - np.rot90(before.image, -quarters)).max() <= 1
    for name in ("semseg", "depth"):
        assert (
            after.labels[name].value[after.labels[name].valid]
            == np.rot90(before.labels[name].value, -quarters)[after.labels[name].valid]
        ).all()
        assert (after.labels[name].valid == np.rot90(before.labels[name].valid, -quarters)).all()
    x, y, z = np.moveaxis(np.rot90(before.labels["normals"].value, -quarters), -1, 0)
    for _ in range(quarters):
        x, y = y, -x  # what pointed up points to the right
    assert np.allclose(after.labels["normals"].value, np.stack([x, y, z], -1), atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("angle", "zoom"), [(20.0, 1.0), (-35.0, 0.75), (10.0, 1.25), (100.0, 1.0)]
)
def test_image_and_labels_turn_alike_also_where_the_aspect_is_not_kept(angle, zoom, flip):
    rows, columns = np.mgrid[:90, :120]
    image = np.stack([2 * columns, 2 * rows, 0 * rows], -1).astype(np.uint8)
    labels = {"depth": full((1 + columns + 1000.0 * rows).astype(np.float32)[..., None])}
    options = DataOptions(size=(64, 64))
    after = place(
        Example(image, labels),
        turned_by(angle, (90, 120), (64, 64), zoom, flip=flip),
        TASKS,
        options,
    )
    label = after.labels["depth"]
    value = label.value[..., 0] * zoom - 1
    found = np.stack([value % 1000, value // 1000], -1)
    inner = cv2.erode(label.valid.astype(np.uint8), np.ones((7, 7)), borderValue=0).astype(bool)
    assert inner.sum() > 800
    assert np.abs(after.image[..., :2][inner] / 2 - found[inner]).max() < 2.5


def test_a_large_image_is_shrunk_and_turned_about_the_same_middle():
    rows, columns = np.mgrid[:450, :600]
    image = np.stack([columns // 3, rows // 3, 0 * rows], -1).astype(np.uint8)
    labels = {"depth": full((1 + columns).astype(np.float32)[..., None])}
    options = DataOptions(size=(45, 60))
    after = place(Example(image, labels), turned_by(25.0, (450, 600), (45, 60)), TASKS, options)
    inner = cv2.erode(
        after.labels["depth"].valid.astype(np.uint8), np.ones((5, 5)), borderValue=0
    ).astype(bool)
    away = 3.0 * after.image[..., 0] + 1 - (after.labels["depth"].value[..., 0] - 1)
    assert abs(away[inner].mean()) < 1


def test_each_axis_is_shrunk_by_its_own_scale():
    stripes = np.zeros((96, 2000, 3), np.uint8)
    stripes[np.arange(96) // 4 % 2 == 0] = 255
    options = DataOptions(size=(96, 96))
    after = place_image(stripes, turned_by(1e-6, (96, 2000), (96, 96)), options)
    assert after.std() > 120


def test_normals_turn_first_and_are_mirrored_then():
    up = np.zeros((32, 32, 3), np.float32)
    up[..., 1] = 1
    hole = np.ones((32, 32), bool)
    hole[:, 16:] = False
    before = Example(
        np.zeros((32, 32, 3), np.uint8),
        {"normals": LabelArray(np.where(hole[..., None], up, 7), hole)},
    )
    after = place(
        before, turned_by(90.0, (32, 32), (32, 32), flip=True), TASKS, DataOptions(size=(32, 32))
    )
    label = after.labels["normals"]
    assert (
        np.allclose(label.value[label.valid], (-1, 0, 0), atol=1e-6)
        and 0.45 < label.valid.mean() <= 0.5
    )


def test_what_a_rotation_leaves_empty_is_not_valid_in_any_label_and_grey_in_the_image():
    before = example((48, 64))
    options = DataOptions(size=(48, 64))
    after = place(before, turned_by(30.0, (48, 64), (48, 64)), TASKS, options)
    for name, label in after.labels.items():
        assert not label.valid[0, 0] and not label.valid[-1, -1] and label.valid[24, 32], name
        assert 0.6 < label.valid.mean() < 0.9
    assert (after.image[0, 0] == np.rint(255 * np.array(options.mean))).all()
    vectors = after.labels["normals"]
    assert np.allclose(np.linalg.norm(vectors.value[vectors.valid], axis=-1), 1, atol=1e-4)


def augment_angle(before: Example, options: DataOptions, seed: int) -> float:
    """The angle of an augmentation, from where normals that point up point to."""
    up = np.zeros((*before.image.shape[:2], 3), np.float32)
    up[..., 1] = 1
    label = augment(
        Example(before.image, {"normals": full(up)}), TASKS, options, np.random.default_rng(seed)
    ).labels["normals"]
    x, y, _ = label.value[label.valid].mean(0)
    return float(np.degrees(np.arctan2(x, y)))


def test_angles_reach_both_ends_and_leave_all_other_draws_as_they_were():
    before = example()
    plain = DataOptions(size=(48, 64), zoom=(0.5, 1.0, 2.0), jitter=0.5)
    angles = []
    for seed in range(40):
        views = [
            augment(before, TASKS, options, np.random.default_rng(seed))
            for options in (plain, replace(plain, rotate=1e-9))
        ]
        assert (
            np.abs(views[0].image.astype(int) - views[1].image).mean() < 8
        )  # resampled in another way, same place
        angles.append(augment_angle(before, replace(plain, rotate=40.0, flip=0.0), seed))
    assert min(angles) < -32 and max(angles) > 32
    turned = augment(before, TASKS, replace(plain, rotate=45.0), np.random.default_rng(3))
    assert (turned.image != augment(before, TASKS, plain, np.random.default_rng(3)).image).any()


def test_a_zoom_between_two_factors_is_any_of_them():
    options = DataOptions(size=(48, 64), zoom=(0.75, 1.25), zoom_between=True)
    zooms = [
        draw_placement((48, 64), options, np.random.default_rng(seed)).zoom for seed in range(200)
    ]
    assert len(set(zooms)) == 200 and 0.75 <= min(zooms) < 0.77 and 1.23 < max(zooms) < 1.25


def test_jitter_changes_colours_alone_and_only_when_asked_for():
    before = example()
    plain = augment(before, TASKS, DataOptions(size=(48, 64), flip=0), np.random.default_rng(3))
    jittered = augment(
        before, TASKS, DataOptions(size=(48, 64), flip=0, jitter=0.4), np.random.default_rng(3)
    )
    assert (plain.image == before.image).all()
    assert np.abs(jittered.image.astype(int) - before.image).mean() > 2
    for name in before.labels:
        assert (jittered.labels[name].value == plain.labels[name].value).all()


def test_nothing_is_written_into_the_labels_that_came_in():
    before = example()
    copies = {name: label.value.copy() for name, label in before.labels.items()}
    augment(before, TASKS, DataOptions(size=(48, 64), flip=1, zoom=(1.5,)), RNG)
    assert all((before.labels[name].value == value).all() for name, value in copies.items())


@pytest.mark.parametrize(
    "values",
    [
        {"size": [0, 4]},
        {"flip": 1.5},
        {"zoom": []},
        {"zoom": [0.0]},
        {"jitter": -0.1},
        {"fit": "squash"},
        {"std": [1, 0, 1]},
        {"rotate": 181.0},
    ],
)
def test_options_that_cannot_be_are_refused(values):
    with pytest.raises(RecipeError, match=next(iter(values))):
        parse(DataOptions, values, "recipe.toml")


def test_the_camera_of_an_example_follows_its_pixels_and_an_unknown_one_stays_unknown():
    camera = Camera.of_view(60.0, (48, 64))
    options = DataOptions(size=(24, 64), flip=1, rotate=10, zoom=(1.5,))
    before = example()
    after = augment(replace(before, camera=camera), TASKS, options, np.random.default_rng(3))
    placement = draw_placement((48, 64), options, np.random.default_rng(3))
    assert after.camera is not None
    assert after.camera.fx == pytest.approx(camera.fx * 1.5, rel=0.05)
    assert after.camera.fy == pytest.approx(camera.fy * 0.75, rel=0.05)
    assert after.camera != placement.camera(camera)  # which does not turn
    unknown = augment(before, TASKS, options, np.random.default_rng(3))
    assert unknown.camera is None and (unknown.image == after.image).all()
