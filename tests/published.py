"""Writes small made data sets in the layouts of published ones, with all their tasks: eight images, two splits."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from labelgrid.data.layouts.cityscapes import CLASSES
from tests.support import MadeScene, make_scene

SIZE = (32, 48)
COUNT, TRAIN = 8, 5


def _scenes() -> list[MadeScene]:
    return [make_scene(np.random.default_rng([7, number]), SIZE) for number in range(COUNT)]


def _png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)


def _npy(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def _lists(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("\n".join(names[:TRAIN]))
    (folder / "val.txt").write_text("\n".join(names[TRAIN:]))


def nyud(root: Path) -> None:
    """NYUD_MT."""
    for number, scene in enumerate(_scenes()):
        _png(root / f"images/{number:04d}.jpg", scene.image)
        _png(root / f"segmentation/{number:04d}.png", scene.semseg + np.uint8(1))
        _npy(root / f"depth/{number:04d}.npy", scene.depth.astype(np.float32))
        _npy(root / f"normals/{number:04d}.npy", scene.normals.astype(np.float32))
        _npy(root / f"edge/{number:04d}.npy", scene.edges.astype(np.float32))
    _lists(root / "gt_sets", [f"{number:04d}" for number in range(COUNT)])


def pascal(root: Path) -> None:
    """PASCAL_MT; the second image has no people."""
    for folder in ("human_parts", "pascal-context/trainval"):
        (root / folder).mkdir(parents=True)
    numbers = np.array([440, 158, 72, 284], np.uint16)  # wall, floor, chair, person
    for number, scene in enumerate(_scenes()):
        name = f"2008_{number:06d}"
        _png(root / f"JPEGImages/{name}.jpg", scene.image)
        _png(
            root / f"semseg/{'VOC12' if number % 2 else 'pascal-context'}/{name}.png", scene.semseg
        )
        _png(
            root / f"normals_distill/{name}.png",
            np.rint((scene.normals + 1) * 127.5).astype(np.uint8),
        )
        _png(root / f"sal_distill/{name}.png", scene.saliency.astype(np.uint8) * np.uint8(255))
        savemat(root / f"pascal-context/trainval/{name}.mat", {"LabelMap": numbers[scene.semseg]})
        savemat(
            root / f"human_parts/{name}.mat",
            {"anno": _person(scene.semseg == 3, 13 if number == 1 else 15)},
        )
    _lists(root / "ImageSets/Context", [f"2008_{number:06d}" for number in range(COUNT)])


def _person(mask: np.ndarray, number: int) -> dict[str, object]:
    """PASCAL-Part's annotation of one object, whose upper half is the head."""
    upper = mask & (np.arange(len(mask)) < len(mask) // 2)[:, None]
    parts = np.zeros((1, 2), [("part_name", object), ("mask", object)])
    for column, (name, part) in enumerate((("head", upper), ("torso", mask & ~upper))):
        parts[0, column] = (name, part.astype(np.uint8))
    return {
        "imname": "x",
        "objects": {
            "class": "x",
            "class_ind": number,
            "mask": mask.astype(np.uint8),
            "parts": parts,
        },
    }


def _mtan(root: Path, labels: Callable[[MadeScene], Mapping[str, np.ndarray]]) -> None:
    for number, scene in enumerate(_scenes()):
        split, index = ("train", number) if number < TRAIN else ("val", number - TRAIN)
        for folder, array in {"image": scene.image / 255.0, **labels(scene)}.items():
            _npy(root / split / folder / f"{index}.npy", array)


def mtan_nyuv2(root: Path) -> None:
    """MTAN's arrays of NYUv2."""
    _mtan(
        root,
        lambda s: {
            "label": s.semseg.astype(np.float32),
            "depth": s.depth[..., None],
            "normal": s.normals,
        },
    )


def mtan_cityscapes(root: Path) -> None:
    """MTAN's arrays of Cityscapes."""
    _mtan(
        root, lambda s: {"label_7": s.semseg.astype(np.float32), "depth": 0.2 / s.depth[..., None]}
    )


def cityscapes(root: Path) -> None:
    """Cityscapes as published."""
    numbers = np.array(list(CLASSES.values()), np.uint8)
    for number, scene in enumerate(_scenes()):
        place = f"{'train' if number < TRAIN else 'val'}/town/town_{number:06d}_000019"
        _png(root / f"leftImg8bit/{place}_leftImg8bit.png", scene.image)
        _png(root / f"gtFine/{place}_gtFine_labelIds.png", numbers[scene.semseg])
        _png(
            root / f"disparity/{place}_disparity.png",
            np.rint(256 * 50 / scene.depth + 1).astype(np.uint16),
        )
