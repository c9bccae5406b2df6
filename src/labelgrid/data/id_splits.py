"""Reads published data sets whose images have IDs, of which lists are the splits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.errors import ImageError, LabelError, RecipeError
from labelgrid.basics.files import read_text
from labelgrid.basics.type_names import Size, Tables
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import Splits
from labelgrid.formats.arrays import check_any_valid, one_channel, samples
from labelgrid.formats.codec import LabelArray
from labelgrid.images.listing import list_images
from labelgrid.images.reading import image_size, read_image
from labelgrid.tasks.task import TaskDef

T = TypeVar("T")
#: The splits that the published data sets have.
PUBLISHED = ("train", "val")
#: What to do about a task with another number of classes than its data set.
ALL_CLASSES = (
    "Name all classes of the data set, in their order; "
    "`merge` joins those that are one class for you."
)


@dataclass(frozen=True, kw_only=True)
class ImagesById:
    """The part of a data set that is alike where images have IDs.

    It holds image ids, and every call reads files.

    Args:
        root: the folder of the layout.
        names: maps an ID to its image id, the file name in `IMAGES`.
    """

    IMAGES: ClassVar[str]  #: the folder of images below the root
    SPLITS: ClassVar[str]  #: the folder of the lists of IDs below the root
    TASKS: ClassVar[Tables]  #: as in a file of tasks
    root: Path
    names: Mapping[str, str] = field(repr=False)

    def images(self) -> Sequence[str]:
        """The image ids: file names in the folder of images."""
        return list(self.names.values())

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return read_image(self.root / self.IMAGES / image_id)

    def size(self, image_id: str) -> Size:
        """As `SizedSource.size`."""
        return image_size(self.root / self.IMAGES / image_id)

    def splits(self) -> Splits:
        """The image ids of each split, from the lists.

        Raises:
            ImageError: a split is empty, or names an image twice or one that does not exist.
        """
        return read_splits(self.root / self.SPLITS, self.names)

    def split_file(self, split: str) -> Path:
        """As `LocatedDataset.split_file`."""
        return self.root / self.SPLITS / f"{split}.txt"

    def tasks(self) -> Tables:
        """As `DescribedDataset.tasks`."""
        return self.TASKS

    def layout_faults(self, has: Mapping[str, Callable[[str], object]]) -> list[str]:
        """A sentence for each fault of the lists, and for each task that some images lack.

        Args:
            has: maps a task's labels, by the name that the sentence uses, to whether an ID has one.
        """
        faults = self._list_faults(self.root / self.SPLITS)
        for labels, has_label in has.items():
            faults += lacking_sentence(self.names, labels, has_label)
        return faults

    def _list_faults(self, lists: Path) -> list[str]:
        try:
            self.splits()
            if not lists.is_dir():
                return [f"There is no folder {self.SPLITS}."]
            listed_ids = ids_of_splits(lists)
        except ImageError as error:
            return [f"{error.where}: {error.what} {error.next_step}".rstrip()]
        faults = []
        if len([*lists.glob("*.txt")]) <= 1:  # else they are one's own, such as train and test
            missing = [name for name in PUBLISHED if not (lists / f"{name}.txt").is_file()]
            faults = [f"There is no list {self.SPLITS}/{name}.txt." for name in missing]
        return faults + lacking_sentence(self.names, "place in a list", listed_ids.__contains__)


def names_by_id(folder: Path) -> dict[str, str]:
    """Maps the ID of each image in a folder, the file name without extension, to the image id.

    Raises:
        ImageError: there are no images, or two have one ID.
    """
    names: dict[str, str] = {}
    for name in list_images(folder):
        other = names.setdefault(Path(name).stem, name)
        if other != name:
            raise ImageError(f"Two images have one ID: '{other}' and '{name}'.", where=folder)
    return names


def ids_of_splits(folder: Path) -> set[str]:
    """The IDs that any split lists.

    Raises:
        ImageError: a list is not text.
    """
    ids: set[str] = set()
    for path in folder.glob("*.txt"):
        ids.update(_read_ids(path))
    return ids


def _read_ids(path: Path) -> list[str]:
    try:
        return read_text(path, "utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ImageError(
            f"The list cannot be read: {error}.",
            where=path,
            next_step="Save it as UTF-8 text, or get it again.",
        ) from error


def read_classes(
    path: Path,
    task: TaskDef,
    void: Collection[int],
    next_step: str = "Correct the file or get it again.",
    first: int = 0,
) -> LabelArray:
    """Read a file of class numbers, whose meaning the data set defines.

    Args:
        path: the file.
        task: the task, with its classes in the order of their numbers.
        void: the numbers that are not labelled.
        next_step: what to do about other numbers.
        first: the number of the first class.

    Raises:
        EmptyLabelError: no pixel is labelled.
        LabelError: the file is damaged, or holds other numbers.
    """
    stored = one_channel(samples(path), path, "A class map")
    index = task.options.index
    unlabelled = f"not labelled: {', '.join(map(str, void))}"
    valid = ~np.isin(stored, list(void))
    wrong = np.unique(stored[valid & ~np.isin(stored, np.arange(first, first + len(index)))])
    if wrong.size:
        numbers = [f"{number:g}" for number in wrong]
        raise LabelError(
            f"The label holds the class numbers {join_names(numbers, 5)}; the task '{task.name}' "
            f"has {len(index)} classes, {first} to {first + len(index) - 1}; {unlabelled}.",
            where=path,
            next_step=next_step,
        )
    check_any_valid(valid, path, unlabelled)
    return LabelArray(index[np.where(valid, stored - first, 0).astype(np.int64)][..., None], valid)


@contextmanager
def replace_advice(next_step: str) -> Iterator[None]:
    """Replace the advice of errors inside the block that say to declare options.

    The data set, not an option, defines what its files mean.
    """
    try:
        yield
    except LabelError as error:
        if error.declare:
            error.next_step = next_step
            error.declare = {}
        raise


def check_order(task: str, classes: Sequence[str], published: Sequence[str]) -> None:
    """Refuse a data set's classes in another order: the numbers would mean wrong classes.

    Other names are free.

    Raises:
        RecipeError: they are in another order.
    """
    if set(classes) == set(published) and list(classes) != list(published):
        raise RecipeError(
            f"The task '{task}' has the classes of the data set in another order.",
            next_step=f"The order of their numbers is: {', '.join(published)}.",
        )


def check_classes(
    task: str, classes: Sequence[str], published: Sequence[str], dataset: str
) -> None:
    """Refuse another number of classes than the data set has, or its classes in another order.

    Args:
        task: the task's name.
        classes: the task's classes.
        published: the data set's classes, in the order of their numbers.
        dataset: the data set's name.

    Raises:
        RecipeError: the classes are others.
    """
    if len(classes) != len(published):
        raise RecipeError(
            f"{dataset} has {len(published)} classes; the task '{task}' has {len(classes)}.",
            next_step=ALL_CLASSES,
        )
    check_order(task, classes, published)


def check_split_ids(path: Path, listed_ids: Sequence[str], existing: Collection[str]) -> None:
    """Refuse a split's list that names missing images.

    Raises:
        ImageError: it does.
    """
    missing = [name for name in listed_ids if name not in existing]
    if missing:
        images = count_text(len(missing), "image of the split does", "images of the split do")
        raise ImageError(
            f"{images} not exist, the first is '{missing[0]}'.",
            where=path,
            next_step="Get the images, or take them out of the list.",
        )


def read_splits(folder: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """The image ids of each split, from the files `SPLIT.txt` of a folder.

    A file holds one ID a line.

    Args:
        folder: the folder of the files; a missing one has no splits.
        names: maps an ID to its image id.

    Raises:
        ImageError: a split is empty, or names an image twice or one that does not exist.
    """
    splits = {}
    for path in sorted(folder.glob("*.txt")):
        ids = _read_ids(path)
        check_split_ids(path, ids, names)
        if not ids:
            raise ImageError(
                "The list names no images.",
                where=path,
                next_step="Write one ID a line, or remove it.",
            )
        twice = [name for name, count in Counter(ids).items() if count > 1]
        if twice:
            images = count_text(len(twice), "image is", "images are")
            raise ImageError(
                f"{images} listed more than once, the first is '{twice[0]}'.",
                where=path,
                next_step="List each once.",
            )
        splits[path.stem] = [names[name] for name in ids]
    return splits


def lacking_sentence(
    ids: Collection[T], noun: str, has: Callable[[T], object], of: str = ""
) -> list[str]:
    """A sentence on the images without something; no sentence if every image has it.

    `of` follows the word "images".

    Example:
        >>> lacking_sentence(["a", "b", "c"], "depth", {"a"}.__contains__)
        ['2 of 3 images have no depth, the first is b.']
    """
    missing = [name for name in ids if not has(name)]
    if not missing:
        return []
    images = count_text(len(ids), f"image{of} has", f"images{of} have")
    return [f"{len(missing):,} of {images} no {noun}, the first is {missing[0]}."]


def unmatched_sentence(labels: Collection[T], ids: Collection[T], noun: str) -> list[str]:
    """A sentence on the labels without an image; no sentence if every label has an image.

    Example:
        >>> unmatched_sentence([0, 1, 9], [0, 1], "depth of train")
        ['1 label of depth of train has no image, the first is 9.']
    """
    others = sorted(set(labels) - set(ids), key=str)
    if not others:
        return []
    labels_have = count_text(len(others), f"label of {noun} has", f"labels of {noun} have")
    return [f"{labels_have} no image, the first is {others[0]}."]
