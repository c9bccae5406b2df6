"""Casts one ray through each pixel's centre and finds the nearest solid, without a renderer.

All is computed in float64. Solids are convex, so a ray is inside a solid between at most two
depths. Rays are cast in the camera's frame with z = -1, so the distance along a ray equals the
depth along the camera's axis.
"""

import math
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Floats, Floats32, Ints
from labelgrid.basics.type_names import Size
from labelgrid.lab.scenes.rooms import Scene
from labelgrid.lab.scenes.solids import CORNERS, Matrix, Shape

#: The smallest visible depth, in metres.
NEAR = 0.01


@dataclass(frozen=True)
class RayHits:
    """The surface that the ray of each pixel hits first.

    Args:
        solid: int64 [h, w], the index in `Scene.solids`; -1 where nothing is hit.
        depth: float32 [h, w], metres along the camera's axis; 0 where nothing is hit.
        normals: float32 [h, w, 3], x right, y up, z toward the camera; zero where nothing is hit.
    """

    solid: Ints
    depth: Floats32
    normals: Floats32


def cast(scene: Scene, size: Size) -> RayHits:
    """Cast a scene's rays for a picture of (height, width).

    Where solids have the same depth, the first counts.
    """
    rays = ray_directions(scene.fov, size)
    solid = np.full(size, -1, np.int64)
    depth = np.full(size, np.inf)
    normals = np.zeros((*size, 3))
    to_camera = _inverse(scene.camera)
    for number, body in enumerate(scene.solids):
        placed = to_camera @ body.transform
        window = _window(placed, scene.fov, size)
        ways = rays[window]
        into = _inverse(placed)
        start = into[:3, 3]
        way = _map_vectors(into[:3, :3], ways)
        enter, leave = _depths_inside(body.shape, start, way)
        at = np.where(enter > NEAR, enter, leave)
        closer = (enter <= leave) & (at > NEAR) & (at < depth[window])
        if not closer.any():
            continue
        outward = _outward_directions(body.shape, start + at[closer][:, None] * way[closer])
        outward = _map_vectors(into[:3, :3].T, outward)
        outward /= np.sqrt((outward**2).sum(-1, keepdims=True))
        away = (outward * ways[closer]).sum(-1, keepdims=True) > 0
        solid[window][closer] = number
        depth[window][closer] = at[closer]
        normals[window][closer] = np.where(away, -outward, outward)
    depth = np.where(solid < 0, 0, depth)
    return RayHits(solid, depth.astype(np.float32), normals.astype(np.float32))


def ray_directions(fov: float, size: Size) -> Floats:
    """Rays with z = -1 through the pixels' centres, float64 [h, w, 3].

    `fov` is the angle of the width, in degrees.

    Example:
        >>> ray_directions(90.0, (2, 2))[0].round(6).tolist()
        [[-0.5, 0.5, -1.0], [0.5, 0.5, -1.0]]
    """
    height, width = size
    half = np.tan(np.radians(fov) / 2)
    across = (2 * (np.arange(width) + 0.5) / width - 1) * half
    up = (1 - 2 * (np.arange(height) + 0.5) / height) * half * height / width
    x, y = np.meshgrid(across, up)
    return np.stack([x, y, -np.ones_like(x)], -1)


def _map_vectors(matrix: Matrix, vectors: Floats) -> Floats:
    """Multiply each vector of [..., 3]; sums run in the same order on every machine."""
    x = vectors[..., 0]
    y = vectors[..., 1]
    z = vectors[..., 2]
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix], -1)


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _window(placed: Matrix, fov: float, size: Size) -> tuple[slice, slice]:
    x, y, z, _ = placed @ CORNERS
    if (z > -NEAR).all():
        return slice(0, 0), slice(0, 0)
    if (z > -NEAR).any():  # beside the camera
        return slice(None), slice(None)
    height, width = size
    scale = width / 2 / np.tan(np.radians(fov) / 2)
    columns = width / 2 - scale * x / z
    rows = height / 2 + scale * y / z
    return _enclosing_slice(rows, height), _enclosing_slice(columns, width)


def _enclosing_slice(values: Floats, end: int) -> slice:
    """The pixels that contain all values, with a pixel more at each side."""
    low = math.floor(values.min()) - 1
    high = math.ceil(values.max()) + 1
    return slice(min(max(low, 0), end), min(max(high, 0), end))


def _depths_inside(shape: Shape, start: Floats, way: Floats) -> tuple[Floats, Floats]:
    """The depths where rays enter and leave a solid of unit half-width.

    For a miss, enter is larger than leave.
    """
    if shape == "sphere":
        return _depths_in_ball(start, way)
    if shape == "cube":
        enter, leave = _depths_in_slabs(start, way)
        return enter.max(-1), leave.min(-1)
    enter, leave = _depths_in_ball(start[:2], way[..., :2])
    low, high = _depths_in_slabs(start[2:], way[..., 2:])
    return np.maximum(enter, low[..., 0]), np.minimum(leave, high[..., 0])


def _depths_in_ball(start: Floats, way: Floats) -> tuple[Floats, Floats]:
    """The depths between which rays are within 1 of the origin, in any number of dimensions."""
    a = (way**2).sum(-1)
    b = (way * start).sum(-1)
    inner = b**2 - a * ((start**2).sum() - 1)
    root = np.sqrt(np.maximum(inner, 0))
    missed = inner <= 0
    return np.where(missed, np.inf, (-b - root) / a), np.where(missed, -np.inf, (-b + root) / a)


def _depths_in_slabs(start: Floats, way: Floats) -> tuple[Floats, Floats]:
    """The depths between which rays are between -1 and 1, for each axis."""
    way = np.where(np.abs(way) < 1e-12, 1e-12, way)
    low = (-1 - start) / way
    high = (1 - start) / way
    return np.minimum(low, high), np.maximum(low, high)


def _outward_directions(shape: Shape, points: Floats) -> Floats:
    """Outward directions of a solid of unit half-width at surface points [n, 3]."""
    if shape == "sphere":
        return points
    reach = np.abs(points)
    if shape == "cube":
        return np.where(reach == reach.max(-1, keepdims=True), np.sign(points), 0.0)
    lid = reach[:, 2:] > np.sqrt(points[:, :1] ** 2 + points[:, 1:2] ** 2)
    return np.where(lid, points * [0, 0, 1], points * [1, 1, 0])
