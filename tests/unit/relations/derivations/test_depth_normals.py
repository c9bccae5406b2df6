"""Laws of normals from depth: where surfaces face, and which pixels are too unsure."""

import re

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.derivations.depth_normals import Options, derive_normals, step_of

SIZE = (24, 32)
CAMERA = Camera(fx=28.0, fy=30.0, cx=16.3, cy=11.25)


def plane(x: float, y: float, z: float, distance: float = 3.0) -> LabelArray:
    """The depth of a plane with this normal (x right, y up, z toward the camera)."""
    rows, columns = np.indices(SIZE)
    facing = z - x * (columns - CAMERA.cx) / CAMERA.fx + y * (rows - CAMERA.cy) / CAMERA.fy
    valid = facing > 0.1
    depth = np.divide(distance, facing, out=np.zeros(SIZE), where=valid)
    return LabelArray(depth[..., None].astype(np.float32), valid)


def normals(depth: LabelArray, camera: Camera | None = CAMERA, **options: float) -> LabelArray:
    return derive_normals(Options(**options), [depth], camera)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facing",
    [(0, 0, 1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0), (0.6, 0, 0.8), (0.48, -0.64, 0.6)],
    ids=["wall", "floor", "ceiling", "left wall", "right wall", "turned", "tilted"],
)
def test_a_plane_faces_where_it_faces_from_edge_to_edge(
    facing: tuple[float, float, float],
) -> None:
    depth = plane(*facing)
    label = normals(depth)
    assert label.valid.sum() > 0.85 * depth.valid.sum()
    assert np.allclose(label.value[label.valid], facing, atol=2e-3)
    assert label.value.dtype == np.float32 and not label.value[~label.valid].any()


def test_a_pixel_without_depth_has_no_normal_and_those_beside_it_have_theirs() -> None:
    depth = plane(0.6, 0, 0.8)
    valid = depth.valid.copy()
    valid[10, 10] = False
    value = depth.value.copy()
    value[10, 10] = np.nan
    label = normals(LabelArray(value, valid))
    whole = normals(depth)
    assert whole.valid[10, 10] and not label.valid[10, 10]
    assert (label.valid == (whole.valid & valid)).all()
    assert np.allclose(label.value[10, 11], whole.value[10, 11], atol=1e-4)


def test_a_window_with_too_few_depths_or_with_depths_on_one_line_gives_nothing() -> None:
    depth = plane(0, 0, 1)
    valid = np.zeros(SIZE, np.bool_)
    valid[9:12, 9:12] = True
    few = LabelArray(depth.value, valid)
    assert normals(few, least=0.36).valid.sum() == 9
    assert normals(few, least=0.37).valid.sum() == 0
    valid[9:12] = False
    valid[10] = True
    assert normals(LabelArray(depth.value, valid), least=0.1).valid.sum() == 0


def test_where_depth_jumps_nothing_is_sure_and_one_window_further_all_is() -> None:
    depth = plane(0, 0, 1)
    value = depth.value.copy()
    value[:, 16:] *= 2
    label = normals(LabelArray(value, depth.valid), radius=3)
    assert not label.valid[5:-5, 13:19].any()
    assert label.valid[5:-5, :13].all() and label.valid[5:-5, 19:].all()


def in_steps(depth: LabelArray, step: float) -> LabelArray:
    """The depth as a file of whole numbers of steps holds it."""
    return LabelArray(np.rint(depth.value / step) * np.float32(step), depth.valid)


@pytest.mark.parametrize("facing", [(0.6, 0, 0.8), (0.48, -0.64, 0.6)], ids=["turned", "tilted"])
def test_flat_steps_of_a_slanted_surface_are_not_taken_for_a_wall(
    facing: tuple[float, float, float],
) -> None:
    depth = in_steps(plane(*facing), 0.4)
    label = normals(depth)
    assert not label.valid[depth.value[..., 0] < 15].any()


def test_fine_steps_are_sure_and_coarser_ones_are_in_a_larger_window() -> None:
    depth = plane(0.6, 0, 0.8)
    for step, radius in ((0.001, 1), (0.02, 2), (0.1, 5)):
        label = normals(in_steps(depth, step), radius=radius)
        assert label.valid.mean() > 0.5
        assert (label.value[label.valid] @ [0.6, 0, 0.8]).min() > np.cos(np.radians(8))
    assert normals(in_steps(depth, 0.1), radius=2).valid.mean() < 0.3


def test_a_step_is_known_if_nearly_all_gaps_are_multiples_of_it() -> None:
    steps = np.float32(0.001) * np.arange(700, 9000, 7).astype(np.float32)
    assert step_of(steps) == pytest.approx(0.007, rel=0.01)
    assert step_of(np.append(steps, np.float32(9.9996))) == pytest.approx(0.007, rel=0.01)
    for stray in (steps.min() + 0.0026, steps.min() - 0.0026, np.median(steps) + 0.0026):
        assert step_of(np.append(steps, np.float32(stray))) == pytest.approx(0.007, rel=0.01)
    assert step_of(np.float32([1, 1.1, 1.25, 1.4])) == 0
    assert step_of(np.float32([3, 1, 2, 2])) == 0 == step_of(np.float32([]))


def test_walls_at_a_few_distances_are_no_steps() -> None:
    depth = plane(0, 0, 1)
    value = depth.value.copy()
    value[:12, 16:] = 2
    value[12:, 16:] = 4
    label = normals(LabelArray(value, depth.valid))
    assert label.valid[:, :13].all() and np.allclose(label.value[:, :13], [0, 0, 1])


def test_more_residual_is_accepted_if_it_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    depth = plane(0, 0, 1)
    noisy = LabelArray(depth.value * (1 + 0.01 * rng.normal(size=(*SIZE, 1))), depth.valid)
    shares = [normals(noisy, residual=degrees).valid.mean() for degrees in (1, 8, 30)]
    assert shares[0] < 0.05 < shares[1] < 0.95 < shares[2]


def test_without_a_camera_there_are_no_normals_and_the_error_says_where_to_write_it() -> None:
    with pytest.raises(LabelError, match=r"(?s)which is unknown.*camera\.toml.*beside `images/`"):
        normals(plane(0, 0, 1), None)


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_labels_than_one_is_refused(count: int) -> None:
    with pytest.raises(LabelError, match=rf"(?s)one label, of depth; there are {count}\..*Give"):
        derive_normals(Options(), [plane(0, 0, 1)] * count, CAMERA)


def test_a_label_that_is_no_depth_map_is_refused() -> None:
    depth = plane(0, 0, 1)
    for shape in ((*SIZE, 3), SIZE, (5, 5, 1)):
        wrong = LabelArray(np.ones(shape, np.float32), depth.valid)
        text = re.escape(f"24x32x1 like its mask; this one is {'x'.join(map(str, shape))} float32.")
        with pytest.raises(LabelError, match=text):
            normals(wrong)


@pytest.mark.parametrize("number", [0, -2, np.nan, np.inf])
def test_a_valid_depth_that_is_no_distance_is_refused_by_its_place(number: float) -> None:
    depth = plane(0, 0, 1)
    depth.value[7, 11] = number
    text = f"depth {number:g} m in row 7, column 11.*Make it not valid"
    with pytest.raises(LabelError, match=f"(?s){text}"):
        normals(depth)


@pytest.mark.parametrize(
    "wrong", [{"radius": 0}, {"radius": 16}, {"radius": 1.5}, {"least": 0}, {"residual": 90}]
)
def test_options_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Options(**wrong)  # type: ignore[arg-type]
