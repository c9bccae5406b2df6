"""Normals from depth beside slow fits, window by window, and where geometry says them."""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.data.transforms import DataOptions, Example, augment
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import FOV, make_scene
from labelgrid.lab.scenes.write_scenes import scene_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.derivations.depth_normals import Options, derive_normals
from labelgrid.tasks.task import TaskDef, definitions

SIZE = (30, 40)
CAMERA = Camera(fx=37.3, fy=36.1, cx=20.7, cy=13.2)
ROOM_SIZE = (96, 128)
ROOM_CAMERA = Camera.of_view(FOV, ROOM_SIZE)
RNG = np.random.default_rng(3)


def normals(depth: LabelArray, camera: Camera, options: Options | None = None) -> LabelArray:
    return derive_normals(options or Options(), [depth], camera)


def room_labels(index: int) -> dict[str, LabelArray]:
    scene = make_scene(0, index)
    return scene_labels(scene, cast(scene, ROOM_SIZE))


def slow_normal(
    depth: LabelArray, camera: Camera, row: int, column: int, radius: int
) -> np.ndarray:
    """The plane n · P = 1 fitted to inverse depth over a window, from the rays of its pixels."""
    rays = []
    inverse = []
    for r in range(max(0, row - radius), min(SIZE[0], row + radius + 1)):
        for c in range(max(0, column - radius), min(SIZE[1], column + radius + 1)):
            if depth.valid[r, c]:
                ray = [(c - camera.cx) / camera.fx, (r - camera.cy) / camera.fy, 1.0]
                rays.append(ray)
                inverse.append(1 / float(depth.value[r, c, 0]))
    away, *_ = np.linalg.lstsq(np.array(rays), np.array(inverse), rcond=None)
    facing = np.array([-away[0], away[1], away[2]])  # y up, and toward the camera
    return facing / np.linalg.norm(facing)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angles between unit vectors [n, 3], in degrees."""
    across = np.linalg.norm(np.cross(a.astype(float), b.astype(float)), axis=-1)
    return np.degrees(np.arctan2(across, (a.astype(float) * b).sum(-1)))


def plane(
    normal: np.ndarray, distance: float, camera: Camera = CAMERA, size: tuple[int, int] = SIZE
) -> LabelArray:
    """The depth of a plane, through a camera."""
    rows, columns = np.indices(size)
    x, y, z = normal
    facing = z - x * (columns - camera.cx) / camera.fx + y * (rows - camera.cy) / camera.fy
    valid = facing > 0.05
    depth = np.divide(distance, facing, out=np.zeros(size), where=valid)
    return LabelArray(depth[..., None].astype(np.float32), valid)


def gaps(depth: LabelArray, share: float = 0.8) -> LabelArray:
    """The depth without some pixels."""
    valid = depth.valid & (RNG.random(SIZE) < share)
    return LabelArray(np.where(valid[..., None], depth.value, np.float32(np.nan)), valid)


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_planes_and_rough_surfaces_have_the_normals_of_a_slow_fit(radius: int) -> None:
    flat = plane(np.array([0.4, 0.3, np.sqrt(0.75)]), 2.0)
    rough = 1 + 0.02 * RNG.normal(size=(*SIZE, 1))
    for depth in (gaps(flat), gaps(LabelArray(flat.value * rough, flat.valid))):
        label = normals(depth, CAMERA, Options(radius=radius, residual=89.0))
        assert label.valid.sum() > 0.5 * depth.valid.sum()
        slow = [
            slow_normal(depth, CAMERA, row, column, radius)
            for row, column in np.argwhere(label.valid)
        ]
        assert angles(label.value[label.valid], np.array(slow)).max() < 1e-5


def test_normals_of_float_planes_are_within_a_tenth_of_a_degree() -> None:
    for _ in range(50):
        normal = RNG.normal(size=3) * [1, 1, 0.5]
        normal = (
            np.abs(normal) * [np.sign(normal[0]), np.sign(normal[1]), 1] / np.linalg.norm(normal)
        )
        depth = plane(normal, float(RNG.uniform(0.5, 8)))
        label = normals(depth, CAMERA)
        error = angles(label.value[label.valid], normal[None])
        assert label.valid.sum() > 0.5 * depth.valid.sum() and error.max() < 0.1


@pytest.mark.parametrize(
    ("radius", "median", "most"), [(2, 1.0, 3.5), (5, 0.2, 1.5)], ids=["window 5", "window 11"]
)
def test_planes_in_png_files_of_millimetres_have_their_normals_by_the_window(
    tmp_path: Path, radius: int, median: float, most: float
) -> None:
    size = (120, 160)
    camera = Camera.of_view(66.0, size).scale(4, 4).shift(240, 180)  # the middle of 480 x 640
    task = TaskDef.of(TaskRow("depth", "depth", 1.0))
    errors = []
    for number in range(12):
        normal = np.array([RNG.uniform(-0.6, 0.6), RNG.uniform(-0.6, 0.6), 1.0])
        normal /= np.linalg.norm(normal)
        depth = plane(normal, float(RNG.uniform(1, 3)), camera, size)
        path = tmp_path / f"{number}.png"
        task.write(path, depth)
        label = normals(task.read(path), camera, Options(radius=radius))
        assert label.valid.mean() > 0.9
        errors.append(angles(label.value[label.valid], normal[None]))
    error = np.concatenate(errors)
    assert np.median(error) < median and np.quantile(error, 0.99) < most


def test_inside_a_sphere_normals_are_within_a_degree_below_sixty_degrees_of_incidence() -> None:
    size = (240, 320)
    camera = Camera.of_view(66.0, size)
    rows, columns = np.indices(size)
    rays = np.stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(size)], -1
    )
    for centre in ([0.0, 0.0, 1.0], [0.9, -0.7, 1.5], [-1.0, 1.0, 0.2]):
        radius = 3.0
        middle = np.array(centre)
        squared = (rays**2).sum(-1)
        along = rays @ middle
        depth = (along + np.sqrt(along**2 - squared * (middle @ middle - radius**2))) / squared
        inward = (middle - rays * depth[..., None]) / radius
        cosine = -(inward * rays).sum(-1) / np.sqrt(squared)
        label = normals(LabelArray(depth[..., None].astype(np.float32), depth > 0), camera)
        counted = label.valid & (cosine > 0.5)
        facing = inward * [1, -1, -1]
        assert counted.sum() > 0.9 * (cosine > 0.5).sum()
        assert angles(label.value[counted], facing[counted]).max() < 1.0


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_normals_of_a_mirrored_depth_are_exactly_the_mirrored_normals(radius: int) -> None:
    options = Options(radius=radius, residual=20.0)
    for _ in range(20):
        camera = Camera(fx=37.3, fy=36.1, cx=float(RNG.uniform(15, 25)), cy=13.2)
        rough = RNG.uniform(1, 1.05, (*SIZE, 1)).astype(np.float32)
        # The z of a wall beside the camera is what rounding leaves of 0: any other order shows.
        wall = plane(np.array([1.0, 0.0, 0.0]), 2.0, camera)
        for depth in (gaps(wall), gaps(LabelArray(rough, np.ones(SIZE, np.bool_)))):
            mirrored = LabelArray(depth.value[:, ::-1], depth.valid[:, ::-1])
            label = normals(depth, camera, options)
            other = normals(mirrored, camera.mirror(SIZE[1]), options)
            assert label.valid.sum() > 100
            assert np.array_equal(other.valid, label.valid[:, ::-1])
            assert np.array_equal(other.value, label.value[:, ::-1] * np.float32([-1, 1, 1]))


def test_in_rooms_normals_are_those_that_the_rays_met() -> None:
    errors = []
    shares = []
    for index in range(6):
        labels = room_labels(index)
        label = normals(labels["depth"], ROOM_CAMERA)
        errors.append(angles(label.value, labels["normals"].value)[label.valid])
        shares.append(label.valid.mean())
    error = np.concatenate(errors)
    assert np.mean(shares) > 0.6
    assert np.median(error) < 0.3 and np.quantile(error, 0.95) < 8


@pytest.mark.parametrize(
    ("step", "radius", "share"), [(0.001, 2, 0.6), (0.039, 2, 0), (0.039, 5, 0.3)]
)
def test_in_rooms_with_depth_in_steps_normals_are_right_where_they_are_sure(
    step: float, radius: int, share: float
) -> None:
    errors = []
    shares = []
    for index in range(6):
        labels = room_labels(index)
        depth = labels["depth"]
        steps = np.rint(depth.value / step) * np.float32(step)
        rounded = LabelArray(steps, depth.valid & (steps[..., 0] > 0))
        label = normals(rounded, ROOM_CAMERA, Options(radius=radius))
        errors.append(angles(label.value, labels["normals"].value)[label.valid])
        shares.append(label.valid.mean())
    error = np.concatenate(errors)
    assert np.mean(shares) >= share
    assert not error.size or np.quantile(error, 0.95) < 8


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_the_normals_of_a_view_s_depth_are_the_view_of_the_normals(fit: str) -> None:
    tasks = definitions([TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)])
    labels = room_labels(1)
    labels = {name: labels[name] for name in tasks}
    image = np.zeros((*ROOM_SIZE, 3), np.uint8)
    before = Example(image, labels, camera=ROOM_CAMERA)
    options = DataOptions(size=(192, 224), fit=fit, zoom=(1.0, 1.4, 0.8), rotate=15)  # type: ignore[arg-type]
    for seed in range(4):
        view = augment(before, tasks, options, np.random.default_rng(seed))
        assert view.camera is not None
        label = normals(view.labels["depth"], view.camera, Options(radius=5, residual=10.0))
        both = label.valid & view.labels["normals"].valid
        error = angles(label.value[both], view.labels["normals"].value[both])
        assert both.mean() > 0.15 and np.median(error) < 1.0
