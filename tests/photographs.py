"""Photographs as people have them, and their labels as nine tools write them, for tests.

A photograph may be turned by its EXIF orientation, and have any name; all tools show it upright.
Numbers, colours and ids of classes differ from those of labelgrid in every tool.
"""

import base64
import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from zipfile import ZipFile

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support import CLASSES, MadeScene, file_pixels, make_scene

SIZES = ((32, 48), (48, 32), (40, 40), (33, 47))
ORIENTATIONS = (1, 2, 3, 6, 8)
VOID = 255
Map = NDArray[np.uint8]
Mask = NDArray[np.bool_]
#: The corners of a rectangle: left, top, right, bottom; right and bottom are not in it.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Photograph:
    """A photograph: its name below the folder, its upright scene, and the true map of classes."""

    name: str
    scene: MadeScene
    truth: Map

    @property
    def stem(self) -> str:
        """The name without its extension; other machines compose accents."""
        return unicodedata.normalize("NFC", self.name.rpartition(".")[0])

    @property
    def shown(self) -> str:
        """The name that tools know it by: of what browsers cannot show, people made JPEGs."""
        extension = self.name.rpartition(".")[2]
        return f"{self.stem}.{'jpg' if extension in ('heic', 'tiff') else extension}"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.truth.shape[0], self.truth.shape[1]

    def masks(self) -> Iterator[tuple[str, Mask]]:
        """Each class that is in it, and where."""
        for index, name in enumerate(CLASSES):
            if (self.truth == index).any():
                yield name, self.truth == index


def make_photographs(folder: Path, count: int) -> list[Photograph]:
    """Write photographs of all formats, orientations and kinds of names."""
    made = []
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        scene = make_scene(np.random.default_rng([7, number]), size)
        photograph = Photograph(_name(number), scene, file_pixels(scene, "semseg"))
        path = folder / photograph.name
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(scene.image, path, ORIENTATIONS[number // len(_ENDS) % len(ORIENTATIONS)])
        made.append(photograph)
    return made


def _name(number: int) -> str:
    """A name with a folder; of six, two have one file name in two folders."""
    folder = "bath room/" if number % 2 else ""
    if number % 6 < 2:
        folder = f"Küche/#{number % 2}/"
        number -= number % 2
    names = (
        f"IMG_{number:04d}",
        f"küche {number}",
        unicodedata.normalize("NFD", f"Äpfel und Öl {number}"),
        f"100% #{number}",
        f"a+b ({number}) & 'c'.d",
    )
    return f"{folder}{names[number // 2 % len(names)]}{_end(number)}"


def _end(number: int) -> str:
    return _ENDS[number * 5 // 6 % len(_ENDS)]


def _save(upright: Map, path: Path, orientation: int) -> None:
    if path.suffix == ".png":  # 16 bits; OpenCV writes no EXIF
        deep = upright[..., ::-1].astype(np.uint16) * np.uint16(257)
        path.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
        return
    exif = Image.Exif()
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
        orientation = 1
    exif[0x0112] = orientation
    Image.fromarray(stored(upright, orientation)).save(path, exif=exif, quality=92)


def stored(upright: Map, orientation: int) -> Map:
    """The pixels in a file that is shown as these by its orientation."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        6: np.rot90(upright),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(turned[orientation])


def _ends() -> tuple[str, ...]:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return (".jpg", ".jpg", ".tiff", ".png", ".webp", ".jpg")
    return (".jpg", ".jpg", ".tiff", ".png", ".webp", ".heic")


_ENDS = _ends()


def boxes(mask: Mask) -> list[Box]:
    """Rectangles that cover a mask, each pixel once: equal runs of rows below each other are one."""
    open_now: dict[tuple[int, int], int] = {}
    found = []
    for row, line in enumerate([*mask, np.zeros(mask.shape[1], bool)]):
        steps = np.flatnonzero(np.diff(line.astype(int), prepend=0, append=0)).tolist()
        runs = set(zip(steps[::2], steps[1::2], strict=True))
        for left, right in sorted(open_now.keys() - runs):
            found.append((left, open_now.pop((left, right)), right, row))
        for run in runs:
            open_now.setdefault(run, row)
    return found


def corners(box: Box) -> list[tuple[int, int]]:
    """The corners of a rectangle, between pixels."""
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def bounds(mask: Mask) -> Box:
    """The box around a mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def label_studio(photographs: Sequence[Photograph], out: Path) -> Path:
    """JSON: brushes of every other photograph, else polygons; images uploaded or served.

    An uploaded file loses its folder and gets the name that Django makes of it; so those of which
    two folders have one were served from the disk.
    """
    exported = []
    names = [uploaded_name(photograph.shown) for photograph in photographs]
    for number, photograph in enumerate(photographs):
        image = f"/data/local-files/?d={quote(f'photos/{photograph.shown}')}"
        if names.count(names[number]) == 1:
            image = f"/data/upload/3/{number:08x}-{names[number]}"
        results = []
        for name, mask in photograph.masks():
            if number % 2:
                results += [_polygon(name, box, mask.shape) for box in boxes(mask)]
            else:
                results.append(_result("brushlabels", name, mask.shape, _brush(mask)))
        annotation = {
            "id": 90 + number,
            "completed_by": {"id": 1, "email": "ann@example.org", "first_name": ""},
            "result": results,
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": "2026-11-20T09:12:33.000000Z",
            "lead_time": 12.5,
            "prediction": {},
            "result_count": len(results),
            "parent_prediction": None,
        }
        task = {"id": 40 + number, "annotations": [annotation], "drafts": [], "predictions": []}
        exported.append({**task, "data": {"image": image}, "meta": {}, "inner_id": number + 1})
    path = out / "project-3-at-2026-11-20-09-30-1a2b3c4d.json"
    path.write_text(json.dumps(exported))
    return path


def uploaded_name(name: str) -> str:
    """What a server calls an uploaded file but for the digits before it."""
    return re.sub(r"[^-\w.]", "", PurePosixPath(name).name.replace(" ", "_"))


def _result(kind: str, name: str, size: tuple[int, ...], value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{kind}{name}",
        "type": kind,
        "from_name": kind[:5],
        "to_name": "image",
        "origin": "manual",
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        "value": {**value, kind: [name.title()]},
    }


def _polygon(name: str, box: Box, size: tuple[int, ...]) -> dict[str, Any]:
    points = [[100 * x / size[1], 100 * y / size[0]] for x, y in corners(box)]
    return _result("polygonlabels", name, size, {"points": points, "closed": True})


def _brush(mask: Mask) -> dict[str, Any]:
    """Run lengths of red, green, blue and alpha: a run has a bit, 2 bits, 16 bits and a byte."""
    bits = f"{mask.size * 4:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    for is_in, run in groupby(np.repeat(mask.ravel(), 4).tolist()):
        bits += f"1{3:02b}{len(list(run)) - 1:016b}{255 * is_in:08b}"
    bits += "0" * (-len(bits) % 8)
    return {"format": "rle", "rle": [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]}


def cvat_images(photographs: Sequence[Photograph], out: Path) -> Path:
    """A zip file with annotations.xml: masks of every other photograph, else polygons."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(
        ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels"
    )
    for name in ("ball", "automobile", "wall", "floor"):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "color").text = "#fa3253"
    for number, photograph in enumerate(sorted(photographs, key=lambda each: each.shown)):
        height, width = map(str, photograph.size)
        image = ElementTree.SubElement(
            root, "image", id=str(number), name=photograph.shown, width=width, height=height
        )
        for name, mask in photograph.masks():
            common = {"label": "automobile" if name == "box" else name, "source": "manual"}
            common |= {"occluded": "0", "z_order": str(CLASSES.index(name))}
            if number % 2:
                ElementTree.SubElement(image, "mask", {**common, **_cvat_mask(mask)})
                continue
            for box in boxes(mask):
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(box))
                ElementTree.SubElement(image, "polygon", {**common, "points": points})
    path = out / "task_7_annotations_cvat for images 1.1.zip"
    with ZipFile(path, "w") as file:
        file.writestr("annotations.xml", ElementTree.tostring(root, "utf-8", xml_declaration=True))
    return path


def _cvat_mask(mask: Mask) -> dict[str, str]:
    left, top, right, bottom = bounds(mask)
    flat = mask[top:bottom, left:right].ravel().tolist()
    runs = [len(list(run)) for _, run in groupby(flat)]
    if flat[0]:
        runs.insert(0, 0)
    place = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    return {"rle": ", ".join(map(str, runs)), **{key: str(at) for key, at in place.items()}}


#: The colours that a CVAT project gives to labels.
CVAT_COLOURS = np.array([(250, 50, 83), (52, 209, 183), (184, 61, 245), (255, 106, 77)], np.uint8)


def cvat_masks(photographs: Sequence[Photograph], out: Path) -> Path:
    """CVAT's "Segmentation mask 1.1": a zip file with pictures of the project's colours."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(CLASSES)] = CVAT_COLOURS
    path = out / "task_7_segmentation mask 1.1.zip"
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for name, colour in reversed(list(zip(CLASSES, CVAT_COLOURS.tolist(), strict=True))):
        lines.append(f"{name}:{','.join(map(str, colour))}::")
    with ZipFile(path, "w") as file:
        file.writestr("labelmap.txt", "\n".join(lines) + "\n")
        names = "\n".join(photograph.stem for photograph in photographs)
        file.writestr("ImageSets/Segmentation/default.txt", names + "\n")
        for photograph in photographs:
            index = np.where(photograph.truth == VOID, 0, photograph.truth + 1)
            pictures = {"Class": table[photograph.truth], "Object": voc_palette()[index]}
            for kind, picture in pictures.items():
                file.writestr(f"Segmentation{kind}/{photograph.stem}.png", png(picture))
    return path


def png(pixels: NDArray[Any], palette: Map | None = None) -> bytes:
    """A PNG file of grey values, of indices into a palette, or of colours."""
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


#: The ids of categories: neither in order nor without gaps.
CATEGORIES = {"wall": 92, "floor": 17, "box": 80, "ball": 3}


def coco(photographs: Sequence[Photograph], out: Path) -> Path:
    """COCO instances: polygons, run lengths as a list, and run lengths as pycocotools packs them."""
    from pycocotools import mask as packer

    annotations = []
    for number, photograph in enumerate(photographs):
        for name, mask in photograph.masks():
            runs = [len(list(run)) for _, run in groupby(mask.T.ravel().tolist())]
            drawn: Any = {"size": list(mask.shape), "counts": [0] * int(mask[0, 0]) + runs}
            if number % 3 == 1:
                drawn = [np.ravel(corners(box)).tolist() for box in boxes(mask)]
            elif number % 3 == 2:
                drawn = packer.encode(np.asfortranarray(mask))
                drawn["counts"] = drawn["counts"].decode()
            left, top, right, bottom = bounds(mask)
            entry = {"id": 1000 + len(annotations), "image_id": _coco_id(number)}
            entry |= {"category_id": CATEGORIES[name], "iscrowd": int(number % 3 != 1)}
            box = [left, top, right - left, bottom - top]
            annotations.append(
                entry | {"segmentation": drawn, "area": int(mask.sum()), "bbox": box}
            )
    path = out / "annotations" / "instances_default.json"
    path.parent.mkdir()
    path.write_text(json.dumps(_coco_data(photographs, annotations)))
    return path


def _coco_id(number: int) -> int:
    return 391_895 - 17 * number


def _coco_data(photographs: Sequence[Photograph], annotations: list[Any]) -> dict[str, Any]:
    images = []
    for number, photograph in enumerate(photographs):
        height, width = photograph.size
        row = {"id": _coco_id(number), "file_name": photograph.shown, "license": 1}
        images.append(row | {"height": height, "width": width})
    categories = []
    for name, key in CATEGORIES.items():
        other = "motorcar" if name == "box" else name
        categories.append({"id": key, "name": other, "supercategory": "", "isthing": 0})
    return {
        "info": {"description": "photographs"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def coco_panoptic(photographs: Sequence[Photograph], out: Path) -> Path:
    """COCO panoptic: a PNG of segments' ids for each photograph; every second row is a segment."""
    annotations = []
    folder = out / "annotations" / "panoptic_val2017"
    folder.mkdir(parents=True)
    for number, photograph in enumerate(photographs):
        ids = np.zeros(photograph.size, np.int64)
        segments = []
        for name, mask in photograph.masks():
            for part in range(2):
                segment = mask.copy()
                segment[part::2] = False
                if segment.any():
                    key = 7_000_003 + 1300 * len(segments)
                    ids[segment] = key
                    row = {"id": key, "category_id": CATEGORIES[name], "iscrowd": 0}
                    segments.append(row | {"area": int(segment.sum())})
        file_name = f"{_coco_id(number):012d}.png"
        channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)
        (folder / file_name).write_bytes(png(channels))
        row = {"image_id": _coco_id(number), "file_name": file_name}
        annotations.append(row | {"segments_info": segments})
    data = json.dumps(_coco_data(photographs, annotations))
    folder.with_suffix(".json").write_text(data)
    return out


def voc_palette() -> Map:
    """The colours of VOC: of an index the bits 0, 3, 6 are the highest of red, and so on."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for bit in range(8):
            channels = [index >> (3 * bit + channel) & 1 for channel in range(3)]
            palette[index] |= np.array(channels, np.uint8) << np.uint8(7 - bit)
    return palette


def voc(photographs: Sequence[Photograph], out: Path) -> Path:
    """A folder of Pascal VOC: palette PNGs of its own classes, 255 around them."""
    indices = np.full(256, VOID, np.uint8)
    indices[: len(CLASSES)] = (20, 11, 7, 15)  # tvmonitor, diningtable, car, person
    root = out / "VOCdevkit" / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    names = sorted(photograph.stem for photograph in photographs)
    (lists / "train.txt").write_text("\n".join(names) + "\n")
    for photograph in photographs:
        path = root / "SegmentationClass" / f"{photograph.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(indices[photograph.truth], voc_palette()))
    return out / "VOCdevkit"


def labelme(photographs: Sequence[Photograph], out: Path) -> Path:
    """A JSON file for each photograph, with masks of every other one, else rectangles."""
    for number, photograph in enumerate(photographs):
        shapes = []
        for name, mask in photograph.masks():
            if number % 2:
                shapes.append(_labelme_mask(name, mask))
                continue
            for left, top, right, bottom in boxes(mask):
                points = [[right - 1, top], [left, bottom - 1]]
                shapes.append(_labelme_shape(name, "rectangle", points, None))
        height, width = photograph.size
        data = {
            "version": "6.3.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": PurePosixPath(photograph.shown).name,
            "imageData": base64.b64encode(png(photograph.scene.image)).decode(),
            "imageHeight": height,
            "imageWidth": width,
        }
        path = out / f"{photograph.stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2))
    return out


def _labelme_mask(name: str, mask: Mask) -> dict[str, Any]:
    left, top, right, bottom = bounds(mask)
    box = mask[top:bottom, left:right]
    data = base64.b64encode(png(box)).decode()
    return _labelme_shape(name, "mask", [[left, top], [right - 1, bottom - 1]], data)


def _labelme_shape(name: str, kind: str, points: Any, data: str | None) -> dict[str, Any]:
    shape = {"label": name, "points": np.array(points, float).tolist(), "group_id": None}
    return shape | {"description": "", "shape_type": kind, "flags": {}, "mask": data}


def cityscapes(photographs: Sequence[Photograph], out: Path) -> Path:
    """A folder gtFine: labelIds of every other photograph, else labelTrainIds."""
    label_ids = np.full(256, 4, np.uint8)  # static
    train_ids = np.full(256, VOID, np.uint8)
    label_ids[: len(CLASSES)] = (12, 7, 26, 24)  # wall, road, car, person
    train_ids[: len(CLASSES)] = (3, 0, 13, 11)
    for number, photograph in enumerate(photographs):
        kind, numbers = [("labelIds", label_ids), ("labelTrainIds", train_ids)][number % 2]
        path = out / "gtFine" / f"{photograph.stem}_gtFine_{kind}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(numbers[photograph.truth]))
    return out / "gtFine"


def class_masks(photographs: Sequence[Photograph], out: Path) -> Path:
    """Label Studio's PNG export: a mask a class, and the list that says of which photograph."""
    rows = [("image", "task", "path")]
    for number, photograph in enumerate(photographs):
        for name, mask in photograph.masks():
            path = f"task-{40 + number}-annotation-{90 + number}-by-1-seg-{name}-0.png"
            (out / path).write_bytes(png(mask.astype(np.uint8) * np.uint8(255)))
            rows.append((photograph.name, "semseg", path))
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return out


@dataclass(frozen=True)
class Tool:
    """How a tool writes labels into an empty folder, and what a person adds to the command."""

    write: Callable[[Sequence[Photograph], Path], Path]
    options: tuple[str, ...] = ()


TOOLS = {
    "label-studio": Tool(label_studio),
    "cvat-images": Tool(cvat_images, ("--map", "automobile=box")),
    "cvat-masks": Tool(cvat_masks),
    "coco": Tool(coco, ("--map", "motorcar=box")),
    "coco-panoptic": Tool(coco_panoptic, ("--map", "motorcar=box")),
    "voc": Tool(voc, ("--map", "tvmonitor=wall,diningtable=floor,car=box,person=ball")),
    "labelme": Tool(labelme),
    "cityscapes": Tool(cityscapes, ("--map", "road=floor,car=box,person=ball")),
    "class-masks": Tool(class_masks),
}
