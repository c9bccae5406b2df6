"""Reads published data sets whose images have IDs, of which lists are the splits."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import ImageError, LabelError, RecipeError
from labelgrid.files import read_text
from labelgrid.formats.arrays import check_any_valid, one_channel, samples
from labelgrid.formats.codec import LabelArray
from labelgrid.images.listing import list_images
from labelgrid.images.reading import read_image
from labelgrid.tasks.task import TaskDef
from labelgrid.words import count_text, join_names

T = TypeVar("T")
#: The splits that the published data sets have.
PUBLISHED = ("train", "val")
#: What to do about a task with another number of classes than its data set.
ALL_CLASSES = "Name all classes of the data set, in their order; `merge` joins those that are one class for you."


@dataclass(frozen=True)
class ImagesById:
    """The part of a data set that is alike where images have IDs.

    It holds image ids, and every call reads files.

    Args:
        root: the folder of the layout.
        names: maps an ID to its image id, the file name in `IMAGES`.
    """

    IMAGES: ClassVar[str]  #: the folder of images below the root
    SPLITS: ClassVar[str]  #: that of the lists of IDs
    TASKS: ClassVar[Mapping[str, Mapping[str, Any]]]  #: as in a file of tasks
    root: Path
    names: Mapping[str, str] = field(repr=False)

    def images(self) -> Sequence[str]:
        """The image ids: file names in the folder of images."""
        return list(self.names.values())

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """As `ImageSource.image`."""
        return read_image(self.root / self.IMAGES / image_id)

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The image ids of each split, from the lists.

        Raises:
            ImageError: a split is empty, or names an image twice or one that does not exist.
        """
        return read_splits(self.root / self.SPLITS, self.names)

    def split_file(self, split: str) -> Path:
        """As `Located.split_file`."""
        return self.root / self.SPLITS / f"{split}.txt"

    def tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """As `Described.tasks`."""
        return self.TASKS

    def layout_faults(self, has: Mapping[str, Callable[[str], object]]) -> list[str]:
        """One sentence for each fault: no lists, a listed image that does not exist, images without label or list.

        Args:
            has: maps a task's labels, by the name that the sentence uses, to whether an ID has one.
        """
        lists = self.root / self.SPLITS
        try:
            self.splits()
            faults = (
                self._unlisted(lists) if lists.is_dir() else [f"There is no folder {self.SPLITS}."]
            )
        except ImageError as error:
            faults = [f"{error.where}: {error.what} {error.next_step}".rstrip()]
        return faults + [
            fault for what, own in has.items() for fault in lacking_sentence(self.names, what, own)
        ]

    def _unlisted(self, lists: Path) -> list[str]:
        """Sentences on published lists that do not exist, and on images in no list."""
        own = len([*lists.glob("*.txt")]) > 1  # lists of one's own, such as train and test
        missing = [name for name in PUBLISHED if not (own or (lists / f"{name}.txt").is_file())]
        listed_ids = ids_of_splits(lists)
        faults = [f"There is no list {self.SPLITS}/{name}.txt." for name in missing]
        return faults + lacking_sentence(self.names, "place in a list", listed_ids.__contains__)


def names_by_id(folder: Path) -> dict[str, str]:
    """Maps the ID of each image in a folder, its file name without extension, to its image id.

    Raises:
        ImageError: there are no images, or two have one ID.
    """
    names: dict[str, str] = {}
    for name in list_images(folder):
        other = names.setdefault(Path(name).stem, name)
        if other != name:
            raise ImageError(f"Two images have one ID: '{other}' and '{name}'.", where=str(folder))
    return names


def ids_of_splits(folder: Path) -> set[str]:
    """The IDs that any split lists.

    Raises:
        ImageError: a list is not text.
    """
    return {name for path in folder.glob("*.txt") for name in _ids(path)}


def _ids(path: Path) -> list[str]:
    try:
        return read_text(path, "utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ImageError(
            f"The list cannot be read: {error}.",
            where=str(path),
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
        task: has the classes, in the order of their numbers.
        void: the numbers that are not labelled.
        next_step: what to do about other numbers.
        first: the number of the first class.

    Raises:
        EmptyLabelError: no pixel is labelled. LabelError: the file is damaged, or holds other
            numbers.
    """
    stored = one_channel(samples(path), path, "A class map")
    index = task.options.index
    unlabelled = f"not labelled: {', '.join(map(str, void))}"
    valid = ~np.isin(stored, list(void))
    wrong = np.unique(stored[valid & ~np.isin(stored, np.arange(first, first + len(index)))])
    if wrong.size:
        raise LabelError(
            f"The label holds the class numbers {join_names([f'{number:g}' for number in wrong], 5)}; the task "
            f"'{task.name}' has {len(index)} classes, {first} to {first + len(index) - 1}; {unlabelled}.",
            where=str(path),
            next_step=next_step,
        )
    check_any_valid(valid, path, unlabelled)
    return LabelArray(index[np.where(valid, stored - first, 0).astype(np.int64)][..., None], valid)


@contextmanager
def replace_advice(next_step: str) -> Iterator[None]:
    """Replace advice to declare options, in errors raised inside, where the data set defines what its files mean."""
    try:
        yield
    except LabelError as error:
        if error.declare:
            error.next_step = next_step
            error.declare = {}
        raise


def check_order(task: str, given: Sequence[str], own: Sequence[str]) -> None:
    """Refuse a data set's own classes in another order: their numbers would mean others.

    Other names are free.

    Raises:
        RecipeError: they are.
    """
    if set(given) == set(own) and list(given) != list(own):
        raise RecipeError(
            f"The task '{task}' has the classes of the data set in another order.",
            next_step=f"The order of their numbers is: {', '.join(own)}.",
        )


def check_classes(task: str, given: Sequence[str], own: Sequence[str], name: str) -> None:
    """Refuse another number of classes than the data set's, and those that `check_order` refuses.

    Args:
        task: the task's name.
        given: its classes.
        own: those of the data set, in the order of their numbers.
        name: the data set's.

    Raises:
        RecipeError: the classes are others.
    """
    if len(given) != len(own):
        raise RecipeError(
            f"{name} has {len(own)} classes; the task '{task}' has {len(given)}.",
            next_step=ALL_CLASSES,
        )
    check_order(task, given, own)


def check_split_ids(path: Path, listed_ids: Sequence[str], existing: Collection[str]) -> None:
    """Refuse a split's list that names images which do not exist.

    Raises:
        ImageError: it does.
    """
    missing = [name for name in listed_ids if name not in existing]
    if missing:
        images = count_text(len(missing), "image of the split does", "images of the split do")
        raise ImageError(
            f"{images} not exist, the first is '{missing[0]}'.",
            where=str(path),
            next_step="Get the images, or take them out of the list.",
        )


def read_splits(folder: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """The image ids of each split, from the files `SPLIT.txt` of a folder, which hold one ID a line.

    Args:
        folder: the folder of the files; a missing one has no splits.
        names: maps an ID to its image id.

    Raises:
        ImageError: a split is empty, or names an image twice or one that does not exist.
    """
    return {path.stem: _split(path, names) for path in sorted(folder.glob("*.txt"))}


def _split(path: Path, names: Mapping[str, str]) -> list[str]:
    ids = _ids(path)
    check_split_ids(path, ids, names)
    if not ids:
        raise ImageError(
            "The list names no images.",
            where=str(path),
            next_step="Write one ID a line, or remove it.",
        )
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise ImageError(
            f"{count_text(len(twice), 'image is', 'images are')} listed more than once, the first is '{twice[0]}'.",
            where=str(path),
            next_step="List each once.",
        )
    return [names[name] for name in ids]


def lacking_sentence(
    ids: Collection[T], what: str, has: Callable[[T], object], of: str = ""
) -> list[str]:
    """One sentence on the images that have no `what`; no sentence if all have it.

    `of` follows the word "images".

    Example:
        >>> lacking(["a", "b", "c"], "depth", {"a"}.__contains__)
        ['2 of 3 images have no depth, the first is b.']
    """
    missing = [name for name in ids if not has(name)]
    images = count_text(len(ids), f"image{of} has", f"images{of} have")
    return (
        [f"{len(missing):,} of {images} no {what}, the first is {missing[0]}."] if missing else []
    )


def unmatched_sentence(labels: Collection[T], ids: Collection[T], what: str) -> list[str]:
    """One sentence on the labels without an image; no sentence if all have one.

    Example:
        >>> unmatched([0, 1, 9], [0, 1], "depth of train")
        ['1 label of depth of train has no image, the first is 9.']
    """
    others = sorted(set(labels) - set(ids), key=str)
    labels_have = count_text(len(others), f"label of {what} has", f"labels of {what} have")
    return [f"{labels_have} no image, the first is {others[0]}."] if others else []
