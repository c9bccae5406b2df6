"""Makes small scenes whose image, classes, depth, normals, edges and saliency agree, as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.ledger.grid import TaskRow

KINDS = ("semseg", "depth", "normals", "edges", "saliency")
CLASSES = ("wall", "floor", "box", "ball")
COLOURS = np.array([(70, 110, 190), (150, 120, 70), (200, 60, 50), (60, 180, 80)], np.float64)


@dataclass(frozen=True, kw_only=True)
class MadeScene:
    """A room with a turned box front and a ball: RGB uint8 and the truth a pixel (see `KINDS`).

    Y up, z toward us.
    """

    image: NDArray[Any]  # uint8 [h, w, 3]
    semseg: NDArray[Any]  # uint8 [h, w], an index into CLASSES
    depth: NDArray[Any]  # float64 [h, w], metres along the axis
    normals: NDArray[Any]  # float64 [h, w, 3]
    edges: NDArray[Any]  # bool [h, w]
    saliency: NDArray[Any]  # bool [h, w]


def make_scene(rng: np.random.Generator, size: tuple[int, int]) -> MadeScene:
    """One scene at a size (height, width)."""
    h, w = size
    u, v = np.meshgrid(
        (np.arange(w) + 0.5 - w / 2) / (0.8 * max(h, w)),
        (np.arange(h) + 0.5 - h / 2) / (0.8 * max(h, w)),
    )
    ray = np.stack([u, -v, -np.ones_like(u)], -1)
    surfaces = [_wall(ray, rng), _floor(ray, rng), _box(ray, rng), _ball(ray, rng)]
    depth = np.stack([z for z, _ in surfaces])
    index = depth.argmin(0)
    normals = np.take_along_axis(np.stack([n for _, n in surfaces]), index[None, ..., None], 0)[0]
    light = np.array([0.3, 0.7, 0.65])
    shade = 0.55 + 0.45 * np.clip(normals @ light, 0, 1)
    colour = (COLOURS + rng.normal(0, 12, COLOURS.shape))[index] * shade[..., None] + rng.normal(
        0, 4, (h, w, 3)
    )
    return MadeScene(
        image=np.clip(colour, 0, 255).astype(np.uint8),
        semseg=index.astype(np.uint8),
        depth=depth.min(0),
        normals=normals,
        edges=_boundaries(index),
        saliency=index >= 2,
    )


def _wall(ray: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.full(ray.shape[:2], rng.uniform(4, 7)), np.broadcast_to([0.0, 0.0, 1.0], ray.shape)


def _floor(ray: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    below = ray[..., 1] < -1e-6
    z = np.where(below, rng.uniform(1.1, 1.6) / np.where(below, -ray[..., 1], 1), np.inf)
    return z, np.broadcast_to([0.0, 1.0, 0.0], ray.shape)


def _box(ray: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    angle = rng.uniform(-0.7, 0.7)
    centre = np.array([rng.uniform(-0.9, -0.2), rng.uniform(-0.4, 0.2), -rng.uniform(2, 3)])
    normal = np.array([np.sin(angle), 0.0, np.cos(angle)])
    z = (normal @ centre) / (ray @ normal)
    offset = np.abs(ray * z[..., None] - centre)
    inside = (z > 0) & (offset[..., 0] < 0.5) & (offset[..., 1] < 0.45)
    return np.where(inside, z, np.inf), np.broadcast_to(normal, ray.shape)


def _ball(ray: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    centre = np.array([rng.uniform(0.1, 0.9), rng.uniform(-0.5, 0.3), -rng.uniform(1.8, 3)])
    radius = rng.uniform(0.3, 0.5)
    a = (ray**2).sum(-1)
    b = ray @ centre
    root = b**2 - a * (centre @ centre - radius**2)
    z = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    point = ray * np.where(np.isfinite(z), z, 0)[..., None]
    return z, (point - centre) / radius


def _boundaries(index: NDArray[Any]) -> NDArray[Any]:
    edge = np.zeros(index.shape, bool)
    edge[:, 1:] |= index[:, 1:] != index[:, :-1]
    edge[1:] |= index[1:] != index[:-1]
    return edge


@dataclass(frozen=True)
class Made:
    """A made dataset: `images/NAME.jpg` and `labels/TASK/NAME.png` below `root`.

    `names` are the image ids.
    """

    root: Path
    names: tuple[str, ...]
    rows: tuple[TaskRow, ...]

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def labels(self) -> Path:
        return self.root / "labels"

    def label(self, image_id: str, task: str) -> Path:
        """The path of a cell's label file."""
        return (self.labels / task / image_id).with_suffix(".png")


def make_dataset(
    folder: Path,
    n: int = 6,
    size: tuple[int, int] | Sequence[tuple[int, int]] = (48, 64),
    seed: int = 0,
    tasks: Sequence[str] = KINDS,
    group: int = 0,
    extension: str = ".jpg",
) -> Made:
    """Write scenes and their labels as files.

    Args:
        folder: the folder of `images` and `labels`.
        n: the number of scenes.
        size: height and width; several sizes take turns.
        seed: the seed of all scenes.
        tasks: the kinds of labels.
        group: so many images share a folder (`room_00/0000.jpg`); 0: all lie in `images` itself.
        extension: the extension of the files of images.
    """
    sizes: list[Any] = [size] if isinstance(size[0], int) else list(size)
    names = tuple(
        f"room_{i // group:02d}/{i:04d}{extension}" if group else f"{i:04d}{extension}"
        for i in range(n)
    )
    made = Made(folder, names, task_rows(tasks))
    for i, name in enumerate(names):
        key = (seed, i, tuple(sizes[i % len(sizes)]))
        _write(made.images / name, _image_file(key, extension))
        for task in tasks:
            _write(made.label(name, task), _label_file(key, task))
    return made


#: What a scene is made by: the seed, its number and its size.
_Key = tuple[int, int, tuple[int, ...]]


# Hundreds of tests make the same few scenes.
@lru_cache(maxsize=32)
def _scene(key: _Key) -> MadeScene:
    seed, number, (height, width) = key
    return make_scene(np.random.default_rng([seed, number]), (height, width))


@lru_cache(maxsize=512)
def _image_file(key: _Key, extension: str) -> bytes:
    pixels = _scene(key).image[..., ::-1]
    return _encode(extension, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])


@lru_cache(maxsize=2048)
def _label_file(key: _Key, task: str) -> bytes:
    return _encode(".png", file_pixels(_scene(key), task))


def task_rows(tasks: Sequence[str] = KINDS) -> tuple[TaskRow, ...]:
    """The ledger's rows of tasks, each named after its kind."""
    return tuple(
        TaskRow(task, task, 1.0, {"classes": list(CLASSES)} if task == "semseg" else {})
        for task in tasks
    )


def file_pixels(scene: MadeScene, task: str) -> NDArray[Any]:
    """A label as OpenCV writes it: a corner of classes not labelled (255), a hole in depth (0), BGR normals."""
    if task == "semseg":
        pixels = scene.semseg.copy()
        pixels[: len(pixels) // 8, : len(pixels) // 8] = 255
        return pixels
    if task == "depth":
        pixels = np.rint(scene.depth * 1000).astype(np.uint16)
        pixels[-len(pixels) // 8 :, : len(pixels) // 8] = 0
        return pixels
    if task == "normals":
        return np.rint((scene.normals + 1) * 127.5).astype(np.uint8)[..., ::-1]
    return getattr(scene, task).astype(np.uint8) * np.uint8(255)


def _encode(extension: str, pixels: NDArray[Any], options: Sequence[int] = ()) -> bytes:
    encoded, data = cv2.imencode(extension, pixels, list(options))
    assert encoded, extension
    return data.tobytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
