"""Makes the inputs of the network benchmarks: a network with random weights, images and partial labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from labelgrid.data.layouts.folder import FolderDataset, build
from labelgrid.formats.codec import LabelArray
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import make_scene
from labelgrid.lab.scenes.write_scenes import scene_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin, load_recipe
from labelgrid.tasks.task import Task, TaskDef, definitions

#: The NYUv2 tasks of PartAL.
ROWS = (
    TaskRow("semseg", "semseg", 1.0, {"classes": [f"class {i}" for i in range(40)]}),
    TaskRow("depth", "depth", 1.0),
    TaskRow("normals", "normals", 1.0),
)

#: The classes of neighbouring parts: in their order, labels would look as if they had been resized
#: with smoothing.
SHUFFLED = np.random.default_rng(0).permutation(40)

#: Changes of recipes that make their networks small, to try a benchmark on a CPU.
TINY: Mapping[str, Mapping[str, Any]] = {
    "small": {
        "data": {"size": [32, 64]},
        "backbone": {"name": "test_efficientnet"},
        "network": {"options": {"width": 8}},
    },
    "few": {
        "data": {"size": [32, 64]},
        "backbone": {"name": "test_vit", "pyramid": 8, "fused": 8, "train": "frozen"},
        "network": {"options": {"width": 8}},
    },
    "gpu": {
        "backbone": {"name": "test_vit", "pyramid": 8, "fused": 8},
        "network": {"options": {"width": 8}},
    },
    "gpu-convnext": {
        "backbone": {"name": "test_convnext", "fused": 8},
        "network": {"options": {"width": 8}},
    },
    "partal-nyud": {
        "backbone": {"name": "test_efficientnet"},
        "network": {"options": {"width": 8}},
    },
    "mtan-nyuv2": {"network": {"options": {"width": 4}}},
    "mtpsl-released": {
        "network": {"options": {"width": 4}},
        "terms": {"mtpsl": {"mapping": "light"}},
    },
}


def task_definitions() -> dict[str, TaskDef]:
    return definitions(ROWS)


def recipe(network: str = "", name: str = "small", *, tiny: bool = False) -> Recipe:
    """A recipe with a random backbone, and another network with its default options if one is named.

    `tiny` makes its network small by `TINY`.
    """
    loaded = load_recipe(name, TINY[name] if tiny else None)
    if network:
        loaded = replace(loaded, network=PluginChoice(network))
    return replace(loaded, backbone=replace(loaded.backbone, pretrained=False))


def network_of(
    tasks: Mapping[str, Task], seed: int = 0, name: str = "", *, of: Recipe | None = None
) -> Network:
    """The network of a recipe, by default the small one, or the named network."""
    torch.manual_seed(seed)
    chosen = of or recipe(name)
    network: Network = build_plugin(
        "networks", chosen.network, tasks, partial(Encoder, chosen.backbone)
    )
    return network.to(memory_format=torch.channels_last)  # as `labelgrid.rounds.models.network_of`


def make_files(
    folder: Path, count: int, size: tuple[int, int], seed: int = 0, *, every: int = 2
) -> FolderDataset:
    """Photograph-like images, and labels of every so many cells; 0: of none."""
    rng = np.random.default_rng(seed)
    tasks = task_definitions()
    for number in range(count):
        name = f"{number:06d}"
        pixels = smooth(rng, size, 3) * 255 + rng.normal(0, 4, (*size, 3))
        _write_image(folder, name, pixels)
        for index, task in enumerate(tasks.values()):
            if every and (number + index) % every == 0:
                _write_label(folder, name, task, label(rng, task.kind, size))
    return build(folder)


def make_rooms(folder: Path, count: int, size: tuple[int, int], *, every: int = 1) -> FolderDataset:
    """Rooms lit from the camera, and their exact labels: an import does not doubt these.

    Labels as by `make_files`.
    """
    tasks = task_definitions()
    for number in range(count):
        name = f"{number:06d}"
        scene = make_scene(0, number)
        hits = cast(scene, size)
        labels = scene_labels(scene, hits)
        colours = np.array([solid.material.colour for solid in scene.solids])[hits.solid]
        noise = np.random.default_rng(number).normal(0, 4, (*size, 3))
        pixels = colours * np.abs(hits.normals[..., 2:]) * 255 + noise
        _write_image(folder, name, pixels)
        for index, task in enumerate(tasks.values()):
            if (number + index) % every == 0:
                _write_label(folder, name, task, labels[task.name])
    return build(folder)


def _write_image(folder: Path, name: str, pixels: np.ndarray) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), np.clip(pixels, 0, 255).astype(np.uint8))


def _write_label(folder: Path, name: str, task: TaskDef, value: LabelArray) -> None:
    path = folder / "labels" / task.name / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    task.write(path, value)


def smooth(rng: np.random.Generator, size: tuple[int, int], channels: int) -> np.ndarray:
    """Smooth random values in 0..1: [h, w, channels]."""
    coarse = rng.random((9, 12, channels)).astype(np.float32)
    return (
        cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        .reshape(*size, channels)
        .clip(0, 1)
    )


def label(rng: np.random.Generator, kind: str, size: tuple[int, int]) -> LabelArray:
    """A label of a task kind, valid almost everywhere."""
    if kind == "semseg":
        value = SHUFFLED[(smooth(rng, size, 1) * 39.999).astype(np.int64)]
    elif kind == "depth":
        value = 0.7 + 9 * smooth(rng, size, 1)
    else:
        value = smooth(rng, size, 3) - np.array([0.5, 0.5, -0.1], np.float32)
        value /= np.linalg.norm(value, axis=-1, keepdims=True)
    valid = np.ones(size, np.bool_)
    valid[: size[0] // 10, : size[1] // 10] = False
    return LabelArray(value, valid)


def names_of(source: FolderDataset, count: int) -> Sequence[str]:
    return source.images()[:count]
