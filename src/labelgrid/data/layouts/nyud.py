"""Reads NYUD_MT: NYUv2 in the layout of the multi-task survey (Vandenhende et al. 2021)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size, Tables
from labelgrid.data.id_splits import (
    ImagesById,
    check_order,
    names_by_id,
    read_classes,
    replace_advice,
    unmatched_sentence,
)
from labelgrid.formats.arrays import one_channel, samples, shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.codecs import binary, depth, normals
from labelgrid.tasks.task import TaskDef

ORIGIN = "https://github.com/SimonVandenhende/Multi-Task-Learning-PyTorch downloads it (NYUD_MT)"
LAYOUT = """\
images/ID.jpg          RGB images (or .png)
segmentation/ID.png    0 = not labelled, 1 to 40 = the classes in order
depth/ID.npy           metres, 0 = invalid; or ID.png: 16 bits, millimetres
normals/ID.npy         unit vectors in the task's `axes`, zero = invalid;
                       or ID.png: n = v / 127.5 - 1
edge/ID.npy            0 or 1; or ID.png: 1 bit, or 8 bits of 0 and 255
gt_sets/SPLIT.txt      the IDs of a split, one a line
"""

EXTENSIONS = (".png", ".npy")
#: The height and width of NYUv2's frames.
SIZE = (480, 640)
#: The Kinect's colour camera at that size, to which the published depth is aligned
#: (camera_params.m of NYUv2's toolbox, which numbers pixels from 1).
CAMERA = Camera(fx=518.857901, fy=519.469611, cx=325.582449, cy=253.736166).shift(1, 1)
#: What to do about a class number that the task does not have.
OTHER_CLASSES = (
    "Correct the file (0 is not labelled, and 1 the first class) or get it again; "
    "if it is right, name all its classes in the task's `classes`."
)
#: Maps a kind of task to the folder of its labels. The data set has no labels of other kinds.
FOLDERS: dict[str, str] = {
    "semseg": "segmentation",
    "depth": "depth",
    "normals": "normals",
    "edges": "edge",
}
#: The tasks, as in a file of tasks.
TASKS: Tables = {
    "semseg": {
        "classes": [
            "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window",
            "bookshelf", "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser",
            "pillow", "mirror", "floor mat", "clothes", "ceiling", "books", "refridgerator",
            "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person",
            "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure",
            "otherfurniture", "otherprop",
        ],
    },
    "depth": {},
    "normals": {},
    "edges": {},
}  # fmt: skip


class Nyud(ImagesById):
    """A `labelgrid.data.dataset.Dataset` of the NYUD_MT layout."""

    IMAGES = "images"
    SPLITS = "gt_sets"
    TASKS = TASKS

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`.

        Values are read as the layout defines them; of the task's options, its `axes` count.

        Returns None for a task of a kind that the data set does not have.

        Raises:
            LabelError: the file is damaged, or does not follow the layout.
        """
        path = self.label_file(image_id, task)
        if path is None:
            return None
        return _READERS[task.kind](path, task)

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `LocatedDataset.label_file`.

        Raises:
            LabelError: there are two.
        """
        if task.kind not in FOLDERS:
            return None
        folder = self.root / FOLDERS[task.kind]
        paths = _files(folder, Path(image_id).stem)
        if len(paths) > 1:
            raise LabelError(
                f"Both '{paths[0].name}' and '{paths[1].name}' exist.",
                where=folder,
                next_step="Remove one of them.",
            )
        return paths[0] if paths else None

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """As `CameraSource.camera`: that of NYUv2's frames.

        An image of the frames' shape is taken as a whole frame, resized; an image of another shape
        has an unknown camera.
        """
        height, width = size
        if height * SIZE[1] != width * SIZE[0]:
            return None
        return CAMERA.scale(width / SIZE[1], height / SIZE[0])


def build(root: Path | str) -> Nyud:
    """Build the NYUD_MT data set below `root`.

    Raises:
        ImageError: there are no images.
    """
    return Nyud(root=Path(root), names=names_by_id(Path(root) / Nyud.IMAGES))


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per fault.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    has = {folder: partial(_files, source.root / folder) for folder in FOLDERS.values()}
    faults = source.layout_faults(has)
    for folder in FOLDERS.values():
        paths = (source.root / folder).glob("*")
        labels = {path.stem for path in paths if path.suffix in EXTENSIONS}
        faults += unmatched_sentence(labels, source.names, folder)
    return faults


def _files(folder: Path, name: str) -> list[Path]:
    paths = [folder / f"{name}{extension}" for extension in EXTENSIONS]
    return [path for path in paths if path.is_file()]


def _segmentation(path: Path, task: TaskDef) -> LabelArray:
    check_order(task.name, task.options.classes, TASKS["semseg"]["classes"])
    return read_classes(path, task, void=(0,), next_step=OTHER_CLASSES, first=1)


def _depth(path: Path, task: TaskDef) -> LabelArray:
    if task.options.disparity:
        raise LabelError(
            f"NYUD_MT holds depth in metres; the task '{task.name}' is disparity.",
            where=path,
            next_step="Declare `disparity = false`.",
        )
    with replace_advice(
        "Write metres as .npy of floating-point numbers, or millimetres as a 16-bit PNG."
    ):
        return depth.read(path, depth.Options(maximum=task.options.maximum))


def _normals(path: Path, task: TaskDef) -> LabelArray:
    return normals.read(path, normals.Options(task.options.axes))


def _edges(path: Path, _: TaskDef) -> LabelArray:
    if path.suffix == ".png":
        with replace_advice("Write 0 and 255, or a PNG of 1 bit."):
            return binary.read(path, binary.Options())
    stored = one_channel(samples(path), path, "An edge map")
    if not np.isin(stored, (0, 1)).all():
        raise LabelError(
            "An edge map in .npy may hold 0 and 1 only; "
            f"this one is {shape_text(stored)}, up to {stored.max():g}.",
            where=path,
            next_step="Write 0 and 1.",
        )
    return LabelArray(stored.astype(np.float32)[..., None], np.ones(stored.shape, np.bool_))


_READERS: dict[str, Callable[[Path, TaskDef], LabelArray]] = {
    "semseg": _segmentation,
    "depth": _depth,
    "normals": _normals,
    "edges": _edges,
}
