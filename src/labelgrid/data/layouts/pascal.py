"""Reads PASCAL_MT: PASCAL-Context with labels of five tasks, in the layout of the survey.

The survey is Vandenhende et al. 2021.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Ints
from labelgrid.basics.errors import ImageError, LabelError, RecipeError
from labelgrid.basics.type_names import Tables
from labelgrid.data.id_splits import (
    ALL_CLASSES,
    ImagesById,
    check_classes,
    ids_of_splits,
    names_by_id,
    read_classes,
)
from labelgrid.data.matlab import read_variable
from labelgrid.formats.arrays import check_any_valid, one_channel, samples, shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.codecs import normals
from labelgrid.pixel.thinning import thin
from labelgrid.tasks.task import TaskDef

ORIGIN = "https://github.com/SimonVandenhende/Multi-Task-Learning-PyTorch downloads it (PASCAL_MT)"
LAYOUT = """\
JPEGImages/ID.jpg                 RGB images
ImageSets/Context/SPLIT.txt       the IDs of a split, one a line; other images are not used
semseg/VOC12/ID.png               21 classes, 255 = not labelled
semseg/pascal-context/ID.png      the same, for images that have no file in VOC12
human_parts/ID.mat                PASCAL-Part's `anno`: the parts of people, read as 7 classes
pascal-context/trainval/ID.mat    PASCAL-Context's `LabelMap`: edges are between its classes
normals_distill/ID.png            n = v / 127.5 - 1 in the task's `axes`,
                                  where LabelMap's class is one of NYUv2's, too
sal_distill/ID.png                8 bits; 128 and more is salient
"""
CONTEXT = "pascal-context/trainval"
#: PASCAL-Part's number of people among its classes of objects.
PERSON = 15
#: The parts of people in PASCAL-Part -> their classes: 1 head, 2 torso, 3 and 4 upper and lower
#: arms, 5 and 6 legs.
PARTS: dict[str, int] = {
    **dict.fromkeys(
        ["hair", "head", "lear", "rear", "leye", "reye", "lebrow", "rebrow", "nose", "mouth"], 1
    ),
    **dict.fromkeys(["neck", "torso"], 2),
    **dict.fromkeys(["luarm", "ruarm"], 3),
    **dict.fromkeys(["llarm", "rlarm", "lhand", "rhand"], 4),
    **dict.fromkeys(["luleg", "ruleg"], 5),
    **dict.fromkeys(["llleg", "rlleg", "lfoot", "rfoot"], 6),
}
#: PASCAL-Context's numbers of the classes that NYUv2 has under the same name, and 427, its
#: "tvmonitor". The normals are predictions of a network that had learnt from NYUv2, so they hold on
#: these alone.
INDOOR = (
    3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49, 50,
    51, 53, 55, 56, 59, 61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96, 101, 104,
    105, 107, 111, 113, 115, 122, 124, 135, 141, 142, 143, 146, 150, 154, 157, 158, 159, 165, 172,
    174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215, 216, 219, 220, 223, 225, 228, 230,
    232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261, 263, 269, 272, 273, 275, 281,
    283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307, 309, 310, 314, 315, 319, 323,
    329, 330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357, 368, 370, 371, 374, 379, 380, 383,
    384, 397, 401, 403, 405, 407, 408, 411, 412, 413, 414, 417, 419, 421, 423, 427, 429, 430, 432,
    440, 441, 442, 443, 444, 446, 454, 457,
)  # fmt: skip
#: Vectors up to this length are mid grey, rounded.
GREY = 0.05
#: The tasks, as in a file of tasks.
TASKS: Tables = {
    "semseg": {
        "classes": [
            "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat",
            "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant",
            "sheep", "sofa", "train", "tvmonitor",
        ],
    },
    "parts": {
        "kind": "semseg",
        "classes": [
            "background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg",
        ],
    },
    "saliency": {},
    "edges": {},
    "normals": {},
}  # fmt: skip


class Pascal(ImagesById):
    """A `labelgrid.data.dataset.Dataset` of the PASCAL_MT layout."""

    IMAGES = "JPEGImages"
    SPLITS = "ImageSets/Context"
    TASKS = TASKS

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`.

        Values are read as the layout defines them; of the task's options, its `axes` count.

        A task of kind `semseg` with 7 classes has the parts of people, one with 21 the classes of
        objects. Returns None for a task of a kind that the data set does not have.

        Raises:
            EmptyLabelError: no person has parts, or no class is one of NYUv2's.
            LabelError: the file is damaged or does not follow the layout.
            RecipeError: the task has another number of classes, or another order of them.
        """
        path = self.label_file(image_id, task)
        if path is None:
            return None
        return _LABELS[_label_key(task)].read(self, path, task)

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `LocatedDataset.label_file`.

        Raises:
            RecipeError: the task has another number of classes, or another order of them.
        """
        labels = _LABELS.get(_label_key(task))
        if labels is None:
            return None
        return labels.file(self.root, Path(image_id).stem)


def build(root: Path | str) -> Pascal:
    """Build the PASCAL_MT data set below `root`, of the images that a split lists.

    Without splits it has all images.

    Raises:
        ImageError: there are no images.
    """
    root = Path(root)
    names = names_by_id(root / Pascal.IMAGES)
    listed_ids = ids_of_splits(root / Pascal.SPLITS)
    if listed_ids:
        names = {image: name for image, name in names.items() if image in listed_ids}
    if not names:
        raise ImageError(
            "No image that a split lists exists.", where=root, next_step="Check the path."
        )
    return Pascal(root=root, names=names)


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per fault.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    has = {task: partial(labels.file, source.root) for task, labels in _LABELS.items()}
    return source.layout_faults(has)


def _objects(_: Pascal, path: Path, task: TaskDef) -> LabelArray:
    return read_classes(path, task, void=(255,))


#: What NumPy raises for arrays of other fields.
_OTHER_ARRAYS = (KeyError, IndexError, ValueError, TypeError, AttributeError)


def _parts(_: Pascal, path: Path, task: TaskDef) -> LabelArray:
    try:
        objects = read_variable(path, "anno")[0, 0]["objects"].ravel()
        label = _draw_parts(objects, path)
    except _OTHER_ARRAYS as error:
        fault = "'anno' has no objects with a class_ind and parts, each with a part_name and a mask"
        raise _parts_error(path, fault) from error
    check_any_valid(label >= 0, path, "no person in the image has parts")
    return LabelArray(task.options.index[label][..., None], np.ones(label.shape, np.bool_))


def _parts_error(path: Path, fault: str) -> LabelError:
    return LabelError(
        f"The file does not follow PASCAL-Part: {fault}.",
        where=path,
        next_step="Get it again, or remove it: its image then has no label of parts.",
    )


def _draw_parts(objects: Array, path: Path) -> Ints:
    """Draw the parts of all people as classes [h, w], later parts over earlier parts.

    Without people the result is -1 [1, 1].

    Raises:
        LabelError: a part has another name, a mask is not [h, w] of 0 and 1, or masks differ in
            size.
        KeyError, IndexError, ValueError, TypeError, AttributeError: a field is missing or has
            several values.
    """
    people = [item for item in objects if item["class_ind"].item() == PERSON and item["parts"].size]
    if not people:
        return np.full((1, 1), -1)
    label = np.zeros(_mask(people[0], path).shape, np.int64)
    for person in people:
        for part in person["parts"].ravel():
            mask = _mask(part, path)
            name = str(part["part_name"].item())
            if mask.shape != label.shape:
                part_size = "x".join(map(str, mask.shape))
                person_size = "x".join(map(str, label.shape))
                raise _parts_error(
                    path,
                    f"the mask of the part '{name}' is {part_size}, that of a person {person_size}",
                )
            if name not in PARTS:
                raise _parts_error(
                    path, f"a person has the part '{name}'; the parts are {', '.join(PARTS)}"
                )
            label[mask] = PARTS[name]
    return label


def _mask(part: Any, path: Path) -> Bools:
    mask: Array = part["mask"]
    if mask.ndim != 2 or not mask.size or not np.isin(mask, (0, 1)).all():
        raise _parts_error(path, f"a mask is not [h, w] of 0 and 1, but {shape_text(mask)}")
    return mask.astype(np.bool_)


def _edges(_: Pascal, path: Path, __: TaskDef) -> LabelArray:
    """The pixels at which the Laplacian of the class map is not 0, thinned."""
    around = np.pad(_context(path), 1, mode="reflect")
    middle = around[1:-1, 1:-1]
    changes = (
        around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * middle
    )
    edges = thin((changes != 0)[None])[0]
    return LabelArray(edges.astype(np.float32)[..., None], np.ones(edges.shape, np.bool_))


def _context(path: Path) -> Ints:
    stored = one_channel(read_variable(path, "LabelMap"), path, "LabelMap")
    if stored.dtype.kind not in "ui" or not stored.size:
        raise LabelError(
            f"LabelMap holds whole numbers; this one is {shape_text(stored)}.",
            where=path,
            next_step="Get the file again.",
        )
    return stored.astype(np.int64)


def _normals(source: Pascal, path: Path, task: TaskDef) -> LabelArray:
    stored = samples(path)
    if stored.ndim != 3 or stored.shape[2] != 3 or stored.dtype != np.uint8:
        raise LabelError(
            f"Normals are a PNG of 8-bit RGB; this one is {shape_text(stored)}.",
            where=path,
            next_step="Get the file again.",
        )
    context = source.root / CONTEXT / f"{path.stem}.mat"
    if not context.is_file():
        raise LabelError(
            "The normals need the classes of PASCAL-Context, "
            f"and the file '{context}' does not exist.",
            where=path,
            next_step="Get it again, or remove the normals of the image.",
        )
    inside = np.isin(_context(context), INDOOR)
    if inside.shape != stored.shape[:2]:
        raise LabelError(
            f"The normals are {stored.shape[0]}x{stored.shape[1]}, "
            f"their LabelMap {inside.shape[0]}x{inside.shape[1]}.",
            where=f"{path}, {context}",
            next_step="Get both files again: one was resized or turned.",
        )
    vector = np.where(inside[..., None], stored.astype(np.float32) / np.float32(127.5) - 1, 0)
    void = "valid are pixels of the classes that NYUv2 has, too, except for grey ones"
    return normals.normalise_vectors(vector, path, task.options.axes, void, shortest=GREY)


def _saliency(_: Pascal, path: Path, __: TaskDef) -> LabelArray:
    stored = one_channel(samples(path), path, "A saliency map")
    if stored.dtype != np.uint8:
        raise LabelError(
            f"A saliency map is a PNG of 8 bits; this one is {shape_text(stored)}.",
            where=path,
            next_step="Get the file again.",
        )
    if stored.max() == 1:
        raise LabelError(
            "The largest value of this saliency map is 1, where 255 is salient.",
            where=path,
            next_step="Save 0 and 255, or get the file again.",
        )
    return LabelArray((stored > 127).astype(np.float32)[..., None], np.ones(stored.shape, np.bool_))


@dataclass(frozen=True)
class _Labels:
    """The labels of a task: the places of the files, and how to read a file.

    `files` are paths below the root, of which the first that exists counts.
    """

    files: tuple[str, ...]
    read: Callable[[Pascal, Path, TaskDef], LabelArray]

    def file(self, root: Path, name: str) -> Path | None:
        """The label file of an ID; None if there is none."""
        for file in self.files:
            path = root / file.format(name)
            if path.is_file():
                return path
        return None


_LABELS: dict[str, _Labels] = {
    "semseg": _Labels(("semseg/VOC12/{}.png", "semseg/pascal-context/{}.png"), _objects),
    "parts": _Labels(("human_parts/{}.mat",), _parts),
    "edges": _Labels((CONTEXT + "/{}.mat",), _edges),
    "normals": _Labels(("normals_distill/{}.png",), _normals),
    "saliency": _Labels(("sal_distill/{}.png",), _saliency),
}
#: The tasks of kind `semseg`, by their number of classes.
_OF_CLASSES = {21: "semseg", 7: "parts"}


def _label_key(task: TaskDef) -> str:
    """The key in `_LABELS` of a task's labels; another one if there are none."""
    names = getattr(task.options, "classes", None)
    if names is None:
        return task.kind
    if len(names) not in _OF_CLASSES:
        raise RecipeError(
            "PASCAL_MT has 21 classes of objects and 7 of parts of people; "
            f"the task '{task.name}' has {len(names)}.",
            next_step=ALL_CLASSES,
        )
    kind = _OF_CLASSES[len(names)]
    check_classes(task.name, names, TASKS[kind]["classes"], "PASCAL_MT")
    return kind
