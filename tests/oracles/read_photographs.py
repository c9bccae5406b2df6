"""Reads the labels of `tests/photographs.py` with the tools' own libraries, and compares the pixels.

`python read_photographs.py FOLDER`, in an environment with datumaro, labelme and label-studio-sdk:
FOLDER holds `truth.npz`, a map for each photograph, `photographs.json`, what they are called, and a
folder for each tool. Prints, as JSON, of each tool the images that were read, and the pixels that
are wrong.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import datumaro
import numpy as np
from datumaro.components.annotation import AnnotationType
from label_studio_sdk.converter import brush
from labelme._label_file import read_label_file
from labelme.utils import shapes_to_label
from PIL import Image
from pycocotools import mask as coco_masks

CLASSES = ("wall", "floor", "box", "ball")
VOID = 255
#: The names that tools have for our classes.
OTHERS = {"automobile": "box", "motorcar": "box", "tvmonitor": "wall", "diningtable": "floor"}
OTHERS |= {"car": "box", "person": "ball", "road": "floor"}
Read = Iterator[tuple[int, np.ndarray]]


def class_of(name: str) -> int:
    name = OTHERS.get(name.lower(), name.lower())
    return CLASSES.index(name) if name in CLASSES else VOID


def by_datumaro(folder: Path, kind: str, numbers: Mapping[str, int]) -> Read:
    dataset = datumaro.Dataset.import_from(str(folder), kind)
    names = [label.name for label in dataset.categories()[AnnotationType.label].items]
    for item in dataset:
        number = numbers[item.id]
        label = np.full(TRUTH[number].shape, VOID, np.uint8)
        drawn = [each for each in item.annotations if each.type != AnnotationType.bbox]
        for annotation in sorted(drawn, key=lambda each: each.z_order):
            mask = mask_of(annotation, label.shape)
            if class_of(names[annotation.label]) != VOID:
                label[mask] = class_of(names[annotation.label])
        yield number, label


def mask_of(annotation: object, size: tuple[int, int]) -> np.ndarray:
    if annotation.type == AnnotationType.polygon:
        return polygon(np.array(annotation.points), size)
    assert annotation.type == AnnotationType.mask, annotation.type
    return annotation.image.astype(bool)


def polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    runs = coco_masks.frPyObjects([points.ravel().tolist()], *size)
    return coco_masks.decode(runs)[..., 0].astype(bool)


def unpacked(folder: Path) -> Path:
    (path,) = folder.glob("*.zip")
    with ZipFile(path) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


def with_images(root: Path, folder: str = "images") -> Path:
    """Write black images, which datumaro wants."""
    for photograph in PHOTOGRAPHS:
        path = root / folder / photograph["shown"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", photograph["size"][::-1]).save(path)
    return root


def cvat_images(folder: Path) -> Read:
    yield from by_datumaro(with_images(unpacked(folder)), "cvat", STEMS)


def coco(folder: Path) -> Read:
    yield from by_datumaro(with_images(folder), "coco_instances", STEMS)


def coco_panoptic(folder: Path) -> Read:
    yield from by_datumaro(with_images(folder, "images/val2017"), "coco_panoptic", STEMS)


def cvat_masks(folder: Path) -> Read:
    yield from by_datumaro(unpacked(folder), "voc_segmentation", STEMS)


def voc(folder: Path) -> Read:
    yield from by_datumaro(folder / "VOCdevkit" / "VOC2012", "voc_segmentation", STEMS)


def label_studio(folder: Path) -> Read:
    (path,) = folder.glob("*.json")
    for number, task in enumerate(json.loads(path.read_text())):
        size = TRUTH[number].shape
        label = np.full(size, VOID, np.uint8)
        for result in task["annotations"][0]["result"]:
            value = result["value"]
            if result["type"] == "brushlabels":
                mask = brush.decode_rle(value["rle"]).reshape(*size, 4)[..., 3] > 0
            else:
                mask = polygon(np.array(value["points"]) / 100 * size[::-1], size)
            label[mask] = class_of(value[result["type"]][0])
        yield number, label


def labelme(folder: Path) -> Read:
    values = {name: index for index, name in enumerate(CLASSES, 1)} | {"_background_": 0}
    for stem, number in STEMS.items():
        file = read_label_file(str(folder / f"{stem}.json"))
        label, _ = shapes_to_label(TRUTH[number].shape, file.shapes, values)
        yield number, np.where(label == 0, VOID, label - 1).astype(np.uint8)


def cityscapes(folder: Path) -> Read:
    """Of the files with labelTrainIds: it reads no labelIds, and wants folders of splits."""
    root = folder / "again"
    for path in list(folder.glob("gtFine/**/*_labelTrainIds.png")):
        target = root / "gtFine" / "train" / path.relative_to(folder / "gtFine")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (root / "leftImg8bit" / "train").mkdir(parents=True)
    for number, label in by_datumaro(root, "cityscapes", STEMS):
        is_road = TRUTH[number] == CLASSES.index("floor")
        label[is_road & (label == VOID)] = CLASSES.index("floor")  # it drops the number 0
        yield number, label


READERS: Mapping[str, Callable[[Path], Read]] = {
    "label-studio": label_studio,
    "cvat-images": cvat_images,
    "cvat-masks": cvat_masks,
    "coco": coco,
    "coco-panoptic": coco_panoptic,
    "voc": voc,
    "labelme": labelme,
    "cityscapes": cityscapes,
}


def main(folder: Path) -> dict[str, list[int]]:
    found = {}
    for tool, read in READERS.items():
        numbers = set[int]()
        wrong = 0
        for number, label in read(folder / tool):
            numbers.add(number)
            wrong += int((label != TRUTH[number]).sum())
        found[tool] = [len(numbers), wrong]
    return found


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    with np.load(FOLDER / "truth.npz") as arrays:
        TRUTH = [arrays[str(number)] for number in range(len(arrays.files))]
    PHOTOGRAPHS = json.loads((FOLDER / "photographs.json").read_text())
    STEMS = {photograph["stem"]: number for number, photograph in enumerate(PHOTOGRAPHS)}
    print(json.dumps(main(FOLDER)))
