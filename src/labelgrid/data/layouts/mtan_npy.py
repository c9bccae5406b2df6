"""Reads NYUv2 and Cityscapes as arrays, in the layout of MTAN and MTPSL (Liu et al. 2019)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array, Bytes
from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.type_names import Tables
from labelgrid.data.dataset import Splits
from labelgrid.data.id_splits import (
    check_classes,
    lacking_sentence,
    read_classes,
    replace_advice,
    unmatched_sentence,
)
from labelgrid.formats.arrays import samples, shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.codecs import depth, normals
from labelgrid.tasks.task import TaskDef

ORIGIN = "linked in the README of https://github.com/lorenmt/mtan"
LAYOUT = """\
SPLIT/image/N.npy      RGB [h, w, 3], 0 to 1; N from 0, SPLIT is train or val
SPLIT/label/N.npy      NYUv2: classes [h, w], -1 = not labelled
SPLIT/label_7/N.npy    Cityscapes: the same, 7 classes; label_2 and label_19 likewise
SPLIT/depth/N.npy      [h, w, 1], 0 = invalid; NYUv2: metres,
                       Cityscapes: inverse depth (a task with disparity)
SPLIT/normal/N.npy     NYUv2: vectors [h, w, 3] in the task's `axes`, zero = invalid
"""
SPLITS = ("train", "val")
#: The tasks, as in a file of tasks.
NYUV2: Tables = {
    "semseg": {
        "classes": [
            "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa",
            "table", "tv", "wall", "window",
        ],
    },
    "depth": {},
    "normals": {},
}  # fmt: skip
CITYSCAPES: Tables = {
    "semseg": {"classes": ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]},
    "depth": {"disparity": True},
}


@dataclass(frozen=True)
class MtanArrays:
    """A `labelgrid.data.dataset.Dataset` of MTAN's layout.

    It holds image ids; every call reads files.

    Args:
        root: the folder of the layout.
        names: the image ids, `SPLIT/N`, in the order of their numbers.
        one_labelling: whether there is one number of classes, as in NYUv2, whose depth is in
            metres.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)
    one_labelling: bool

    def images(self) -> Sequence[str]:
        """The image ids: `SPLIT/N`."""
        return list(self.names)

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        path = self._file(image_id, "image")
        try:
            stored = samples(path)
        except LabelError as error:
            raise ImageError(error.what, where=path, next_step=error.next_step) from error
        if stored.ndim != 3 or stored.shape[2] != 3 or not ((stored >= 0) & (stored <= 1)).all():
            raise ImageError(
                f"An image is RGB [h, w, 3] from 0 to 1; this one is {_range(stored)}.",
                where=path,
                next_step="Write the channels last, and divide 8-bit numbers by 255.",
            )
        return np.rint(stored * 255).astype(np.uint8)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`.

        Values are read as the layout defines them; of the task's options, its `axes` count.

        Returns None for a task of a kind that the data set does not have; of Cityscapes also for a
        number of classes that it does not have.

        Raises:
            LabelError: the file is damaged, or does not follow the layout.
            RecipeError: the task has another number of classes than NYUv2, or the data set's
                classes in another order.
        """
        path = self.label_file(image_id, task)
        if path is None:
            return None
        return _READERS[task.kind](self, path, task)

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `LocatedDataset.label_file`."""
        if task.kind not in _READERS:
            return None
        path = self._file(image_id, _FOLDERS[task.kind](self, task))
        return path if path.is_file() else None

    def splits(self) -> Splits:
        """The image ids of `train` and `val`."""
        splits = {}
        for split in SPLITS:
            names = [name for name in self.names if name.startswith(f"{split}/")]
            if names:
                splits[split] = names
        return splits

    def split_file(self, split: str) -> Path:
        """As `LocatedDataset.split_file`."""
        return self.root / split

    def tasks(self) -> Tables:
        """As `DescribedDataset.tasks`: the tasks of NYUv2 or of Cityscapes."""
        return NYUV2 if self.one_labelling else CITYSCAPES

    def _file(self, image_id: str, folder: str) -> Path:
        split, _, number = image_id.partition("/")
        if split not in SPLITS or not number.isdecimal():
            raise ImageError(
                f"'{image_id}' is not an image of this data set; ids are SPLIT/N.", where=self.root
            )
        return self.root / split / folder / f"{number}.npy"


def build(root: Path | str) -> MtanArrays:
    """Build the data set below `root`.

    Raises:
        ImageError: there are no images.
    """
    names = []
    for split in SPLITS:
        numbers = sorted(_numbers(Path(root) / split / "image"))
        names += [f"{split}/{number}" for number in numbers]
    if not names:
        raise ImageError(
            "There are no images in this layout: train/image/0.npy and so on.",
            where=root,
            next_step="Check the path.",
        )
    one_labelling = any((Path(root) / split / "label").is_dir() for split in SPLITS)
    return MtanArrays(Path(root), tuple(names), one_labelling)


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per fault.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    folders = ["label_7", "depth"]
    if source.one_labelling:
        folders = ["label", "depth", "normal"]
    splits = source.splits()
    faults = []
    for split in SPLITS:
        images = f"{split}/image/0.npy and so on"
        if split not in splits:
            faults.append(f"There are no images of {split}: {images}.")
    for split, names in splits.items():
        numbers = [int(name.partition("/")[2]) for name in names]
        gaps = sorted({*range(numbers[-1])} - {*numbers})
        if gaps:
            faults.append(
                f"The images of {split} are not numbered from 0 without a gap: "
                f"{gaps[0]} is missing."
            )
        for folder in folders:
            labels = {*_numbers(source.root / split / folder)}
            faults += lacking_sentence(numbers, folder, labels.__contains__, f" of {split}")
            faults += unmatched_sentence(labels, numbers, f"{folder} of {split}")
    return faults


def _numbers(folder: Path) -> list[int]:
    numbers = []
    for path in folder.glob("*.npy"):
        name = path.stem
        if name.isdecimal() and name == str(int(name)):
            numbers.append(int(name))
    return numbers


def _range(stored: Array) -> str:
    return f"{shape_text(stored)}, from {stored.min():.4g} to {stored.max():.4g}"


def _classes(source: MtanArrays, path: Path, task: TaskDef) -> LabelArray:
    published = source.tasks()["semseg"]["classes"]
    if source.one_labelling or len(task.options.classes) == len(published):
        check_classes(task.name, task.options.classes, published, "The layout")
    return read_classes(path, task, void=(-1,))


def _depth(source: MtanArrays, path: Path, task: TaskDef) -> LabelArray:
    disparity = task.options.disparity
    if disparity and source.one_labelling:
        raise LabelError(
            f"NYUv2's layout holds depth in metres; the task '{task.name}' is disparity.",
            where=path,
            next_step="Declare `disparity = false`.",
        )
    if not disparity and not source.one_labelling:
        raise LabelError(
            f"Cityscapes' layout holds inverse depth; the task '{task.name}' is depth.",
            where=path,
            next_step="Declare `disparity = true`.",
        )
    options = depth.Options(disparity=disparity, maximum=task.options.maximum)
    with replace_advice(
        "Write floating-point numbers: metres of NYUv2, inverse depth of Cityscapes."
    ):
        return depth.read(path, options)


def _normals(_: MtanArrays, path: Path, task: TaskDef) -> LabelArray:
    stored = samples(path)
    if stored.dtype.kind != "f":
        raise LabelError(
            f"Normals are numbers in [-1, 1]; this array is {_range(stored)}.",
            where=path,
            next_step="Write floating-point vectors, not the colours of a picture.",
        )
    return normals.normalise_vectors(
        stored, path, task.options.axes, "zero and infinite vectors are not"
    )


_FOLDERS: dict[str, Callable[[MtanArrays, TaskDef], str]] = {
    "semseg": lambda source, task: (
        "label" if source.one_labelling else f"label_{len(task.options.classes)}"
    ),
    "depth": lambda source, task: "depth",
    "normals": lambda source, task: "normal",
}
_READERS: dict[str, Callable[[MtanArrays, Path, TaskDef], LabelArray]] = {
    "semseg": _classes,
    "depth": _depth,
    "normals": _normals,
}
