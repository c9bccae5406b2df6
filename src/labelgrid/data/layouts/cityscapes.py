"""Reads Cityscapes as published (Cordts et al. 2016): 19 classes and disparity, at 1024x2048."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.errors import ImageError, LabelError, RecipeError
from labelgrid.basics.type_names import Tables
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import Splits
from labelgrid.data.id_splits import check_classes, lacking_sentence, unmatched_sentence
from labelgrid.formats.arrays import check_any_valid, one_channel, samples, shape_text
from labelgrid.formats.cityscapes_ids import CLASSES, NAMES
from labelgrid.formats.codec import LabelArray
from labelgrid.images.listing import list_images
from labelgrid.images.reading import read_image
from labelgrid.tasks.task import TaskDef

ORIGIN = (
    "https://www.cityscapes-dataset.com/downloads: leftImg8bit_trainvaltest.zip, "
    "gtFine_trainvaltest.zip, disparity_trainvaltest.zip"
)
LAYOUT = """\
leftImg8bit/SPLIT/CITY/ID_leftImg8bit.png        RGB images
gtFine/SPLIT/CITY/ID_gtFine_labelIds.png         8 bits: 19 of the 34 numbers are classes,
                                                 the others not labelled
disparity/SPLIT/CITY/ID_disparity.png            16 bits: 256 times the disparity, plus 1;
                                                 0 = invalid
"""
IMAGES = "leftImg8bit"
IMAGE_END = "_leftImg8bit.png"
#: A kind of task -> the folder of its labels, and the end of their file names.
LABELS = {"semseg": ("gtFine", "_gtFine_labelIds.png"), "depth": ("disparity", "_disparity.png")}
#: The tasks, as in a file of tasks.
TASKS: Tables = {"semseg": {"classes": list(CLASSES)}, "depth": {"disparity": True}}
#: What to do about a file that is not as published.
AGAIN = "Get the file again."
#: A plate, -1, is stored as 255.
PLATE = 255
#: The last of trainIds, which number the classes from 0; and how many maps are read to find them.
LAST_TRAIN_ID = len(CLASSES) - 1
LOOKED_AT = 20


@dataclass(frozen=True)
class Cityscapes:
    """A `labelgrid.data.dataset.Dataset` of Cityscapes. It holds image ids; every call reads files.

    Args:
        root: the folder of the layout.
        names: the image ids, paths below `leftImg8bit/`, sorted.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)

    def images(self) -> Sequence[str]:
        """The image ids: `SPLIT/CITY/ID_leftImg8bit.png`."""
        return self.names

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return read_image(self.root / IMAGES / image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`.

        Values are read as the layout defines them, not by the options of the task's own format.

        Returns None for a task of a kind that the data set does not have.

        Raises:
            EmptyLabelError: no pixel is valid, as in the test split.
            LabelError: the file is damaged or does not follow the layout.
            RecipeError: the task has other classes, or is not disparity.
        """
        path = self.label_file(image_id, task)
        if path is None:
            return None
        return _READERS[task.kind](path, task)

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `LocatedDataset.label_file`."""
        if task.kind not in LABELS:
            return None
        return label_file(self.root, task.kind, image_id)

    def splits(self) -> Splits:
        """The image ids of each split, by their folders."""
        splits: dict[str, list[str]] = {}
        for name in self.names:
            split = name.partition("/")[0]
            splits.setdefault(split, []).append(name)
        return dict(sorted(splits.items()))

    def split_file(self, split: str) -> Path:
        """As `LocatedDataset.split_file`."""
        return self.root / IMAGES / split

    def tasks(self) -> Tables:
        """As `DescribedDataset.tasks`."""
        return TASKS


def label_file(root: Path, kind: str, image_id: str) -> Path | None:
    """The file of an image's label; None if there is none."""
    folder, end = LABELS[kind]
    path = root / folder / (image_id.removesuffix(IMAGE_END) + end)
    return path if path.is_file() else None


def build(root: Path | str) -> Cityscapes:
    """Build the data set below `root`.

    Raises:
        ImageError: there are no images.
    """
    folder = Path(root) / IMAGES
    names = [name for name in _image_names(folder) if name.count("/") == 2]
    if not names:
        raise ImageError(
            f"There are no images in this layout: SPLIT/CITY/ID{IMAGE_END}.",
            where=folder,
            next_step="Check the path.",
        )
    return Cityscapes(Path(root), tuple(names))


def _image_names(folder: Path) -> list[str]:
    return [name for name in list_images(folder) if name.endswith(IMAGE_END)]


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per fault.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    faults = []
    elsewhere = sorted({*_image_names(source.root / IMAGES)} - {*source.names})
    if elsewhere:
        images = count_text(len(elsewhere), "image is", "images are")
        faults.append(f"{images} not at SPLIT/CITY/ID{IMAGE_END}, the first is {elsewhere[0]}.")
    for kind, (folder, end) in LABELS.items():
        faults += lacking_sentence(source.names, folder, partial(label_file, source.root, kind))
        labelled = []
        for path in (source.root / folder).glob(f"*/*/*{end}"):
            name = path.relative_to(source.root / folder).as_posix()
            labelled.append(name.removesuffix(end) + IMAGE_END)
        faults += unmatched_sentence(labelled, source.names, folder)
    return faults + _train_id_faults(source)


def _train_id_faults(source: Cityscapes) -> list[str]:
    """One sentence if class maps are more likely trainIds.

    Their numbers are low then, and most pixels have no class.
    """
    numbers = list(CLASSES.values())
    total = np.zeros(256, np.int64)
    paths = []
    for name in source.names:
        path = label_file(source.root, "semseg", name)
        if path:
            paths.append(path)
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        # Each damaged file is a fault of its own, for those who read all labels.
        with suppress(LabelError):
            pixels = np.bincount(np.minimum(samples(path), PLATE).ravel(), minlength=256)
            if pixels[numbers].any():  # maps of the test split have no class
                total += pixels
    total[PLATE] = 0
    if total[LAST_TRAIN_ID + 1 :].any() or 2 * total[numbers].sum() >= total.sum():
        return []
    return [
        "Most pixels of the class maps in gtFine have no class, "
        f"and no number is above {LAST_TRAIN_ID}: they seem to hold trainIds. "
        "Get gtFine_trainvaltest.zip, with labelIds."
    ]


def _classes(path: Path, task: TaskDef) -> LabelArray:
    check_classes(task.name, task.options.classes, list(CLASSES), "Cityscapes")
    stored = one_channel(samples(path), path, "A class map")
    wrong = np.unique(stored[(stored >= len(NAMES)) & (stored != PLATE)])
    if stored.dtype != np.uint8 or wrong.size:
        numbers = ""
        if wrong.size:
            numbers = f", with {join_names(wrong.tolist(), 5)}"
        raise LabelError(
            f"A class map holds 8-bit numbers, 0 to {len(NAMES) - 1} and {PLATE}; "
            f"this is {shape_text(stored)}{numbers}.",
            where=path,
            next_step=AGAIN,
        )
    index = np.full(256, -1)
    index[list(CLASSES.values())] = task.options.index
    label = index[stored]
    check_any_valid(label >= 0, path, "none has a number of the 19 classes")
    return LabelArray(np.maximum(label, 0)[..., None], label >= 0)


def _disparity(path: Path, task: TaskDef) -> LabelArray:
    if not task.options.disparity:
        raise RecipeError(
            f"Cityscapes holds disparity, and the task '{task.name}' is depth.",
            next_step="Declare `disparity = true`.",
        )
    stored = one_channel(samples(path), path, "A disparity map")
    if stored.dtype != np.uint16:
        raise LabelError(
            f"A disparity map is a 16-bit PNG; this one is {shape_text(stored)}.",
            where=path,
            next_step=AGAIN,
        )
    valid = stored > 1  # 1 is a disparity of 0: no distance
    check_any_valid(valid, path, "0 and 1 are not")
    value = np.where(valid, (stored.astype(np.float32) - 1) / 256, np.float32(0))
    return LabelArray(value[..., None], valid)


_READERS: dict[str, Callable[[Path, TaskDef], LabelArray]] = {
    "semseg": _classes,
    "depth": _disparity,
}
