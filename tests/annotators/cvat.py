"""How somebody answers in CVAT: with masks, in the annotations that were uploaded, exported again."""

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CONNECTOR = "cvat"
TASKS = ("semseg", "saliency")


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Upload all parts, draw the labels, and unpack what CVAT exports into `answers`."""
    left = dict(skips)
    for upload in sent.glob("*/upload.xml"):
        root = ElementTree.parse(upload).getroot()
        names = [row["name"] for row in json.loads((upload.parent / "labels.json").read_text())]
        for image in root.iter("image"):
            fields = {field.get("name"): field for field in image.iter("attribute")}
            request_id = fields["request_id"].text or ""
            if request_id in labels:
                draw(image, names[:-1], labels[request_id])
                fields["done"].text = "true"
            fields["skip"].text = left.pop(request_id, "")
        export(root, sent / "answers" / upload.parent.name)
    if left:
        export(unknown(left), sent / "answers" / "other")
    return sent


def draw(image: ElementTree.Element, names: list[str], label: Path) -> None:
    """Replace the masks of an image by those of a label, one a class."""
    for mask in image.findall("mask"):
        image.remove(mask)
    pixels = np.asarray(Image.open(label))
    for number, name in enumerate(names):
        mask = pixels == (number if len(names) > 1 else 255)
        if mask.any():
            image.insert(0, ElementTree.Element("mask", attributes(name, mask)))


def attributes(name: str, mask: NDArray[np.bool_]) -> dict[str, str]:
    rows, columns = np.nonzero(mask)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    box = mask[top:bottom, left:right]
    place = {"left": left, "top": top, "width": right - left, "height": bottom - top, "z_order": 0}
    return {
        **{"label": name, "source": "manual", "occluded": "0", "rle": runs(box)},
        **{key: str(value) for key, value in place.items()},
    }


def runs(mask: NDArray[np.bool_]) -> str:
    """Run lengths along the rows, background first, by a slow loop."""
    groups = [(is_region, len(list(group))) for is_region, group in groupby(mask.ravel().tolist())]
    return ", ".join(map(str, [0] * groups[0][0] + [length for _, length in groups]))


def unknown(skips: Mapping[str, str]) -> ElementTree.Element:
    """Annotations of images that were never sent."""
    root = ElementTree.Element("annotations")
    for number, (request_id, reason) in enumerate(skips.items()):
        image = ElementTree.SubElement(
            root, "image", id=str(number), name="other.jpg", width="12", height="8"
        )
        tag = ElementTree.SubElement(image, "tag", label="labelgrid")
        for key, value in {"request_id": request_id, "skip": reason}.items():
            ElementTree.SubElement(tag, "attribute", name=key).text = value
    return root


def export(root: ElementTree.Element, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(folder / "annotations.xml", "utf-8", xml_declaration=True)


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a file that is a link to one outside of the folder."""
    (sent / "answers").mkdir()
    (sent / "answers" / "annotations.xml").symlink_to(outside)
    return sent


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Give the last mask of an image a place that is none."""
    for path in answer.glob("answers/*/annotations.xml"):
        tree = ElementTree.parse(path)
        for found in tree.iter("image"):
            if found.get("name") == image:
                found.findall("mask")[-1].set("left", "x")
        tree.write(path, "utf-8", xml_declaration=True)
