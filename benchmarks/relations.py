"""Measures normals from depth with gaps, once an image, against what is usually written for it.

The other side fits a plane to the points of each window by their smallest principal axis: OpenCV's
box filters of the points and their products, and NumPy's `eigh` of all matrices at once. Both sides
get the same depth in millimetres and the same gaps, and use the same windows; ours also says which
normals are sure. One core: run it with OMP_NUM_THREADS=1.
"""

import argparse
import sys
from statistics import median

import cv2
import numpy as np
from _measure import check_limit, interleaved, machine, show

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import FOV, make_scene
from labelgrid.lab.scenes.write_scenes import scene_labels
from labelgrid.relations.derivations.depth_normals import Options, derive_normals

MILLISECONDS = 40.0
RATIO = 5.0


def room(size: tuple[int, int]) -> tuple[LabelArray, np.ndarray]:
    """The depth of a room in millimetres with a tenth of the pixels missing, and its normals."""
    scene = make_scene(0, 1)
    labels = scene_labels(scene, cast(scene, size))
    depth = labels["depth"]
    gaps = np.random.default_rng(0).random(size) < 0.1
    steps = np.rint(depth.value * 1000) * np.float32(0.001)
    return LabelArray(steps, depth.valid & ~gaps), labels["normals"].value


def principal_axes(depth: LabelArray, camera: Camera, radius: int) -> np.ndarray:
    """Normals [h, w, 3] (x right, y up, z toward the camera) of the points around each pixel."""
    rows, columns = np.indices(depth.size)
    z = np.where(depth.valid, depth.value[..., 0], 0).astype(np.float64)
    x = (columns - camera.cx) / camera.fx * z
    y = (rows - camera.cy) / camera.fy * z
    points = np.stack([x, y, z], -1)
    window = (2 * radius + 1, 2 * radius + 1)
    count = cv2.boxFilter(depth.valid.astype(np.float64), -1, window, normalize=False)
    count = np.maximum(count, 1)[..., None]
    mean = cv2.boxFilter(points, -1, window, normalize=False) / count
    products = (points[..., :, None] * points[..., None, :]).reshape(*depth.size, 9)
    squares = np.stack(
        [cv2.boxFilter(products[..., i], -1, window, normalize=False) for i in range(9)], -1
    )
    spread = (squares / count).reshape(*depth.size, 3, 3) - mean[..., :, None] * mean[..., None, :]
    axis = np.linalg.eigh(spread)[1][..., 0]
    axis = np.where((axis * points).sum(-1, keepdims=True) > 0, -axis, axis)
    return axis * [1, -1, -1]


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    """The median angle between unit vectors [n, 3]."""
    cosine = np.clip((one * other).sum(-1), -1, 1)
    return float(np.degrees(np.median(np.arccos(cosine))))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--radius", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(words)
    cv2.setNumThreads(1)
    size = (options.height, options.width)
    depth, truth = room(size)
    camera = Camera.of_view(FOV, size)
    window = Options(radius=options.radius)
    print(machine())
    label = derive_normals(window, [depth], camera)
    sure = label.valid
    print(
        f"{size[0]} x {size[1]}, {sure.mean():.0%} of the pixels are sure; there, median angles to "
        f"the truth: ours {degrees(label.value[sure], truth[sure]):.2f}, principal axes "
        f"{degrees(principal_axes(depth, camera, options.radius)[sure], truth[sure]):.2f} degrees"
    )
    times = interleaved(
        {
            "ours": lambda: derive_normals(window, [depth], camera),
            "principal axes": lambda: principal_axes(depth, camera, options.radius),
        },
        options.repeats,
    )
    show(times)
    spent = median(times["ours"].processor) * 1e3
    ratio = times["principal axes"].work_over(times["ours"])
    kept = [
        check_limit("normals of an image, processor", spent, MILLISECONDS, "ms"),
        check_limit("principal axes / ours", ratio, RATIO, least=True),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
