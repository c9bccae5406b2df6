"""Reads plain folders as a data set: images of any size, and any labels of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.config import read_toml
from labelgrid.data.id_splits import check_split_ids, unmatched_sentence
from labelgrid.errors import LabelError
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.formats.naming import LONGEST, shorten_path, stem, whole_names
from labelgrid.images.listing import list_images, read_list
from labelgrid.images.reading import read_image
from labelgrid.tasks.task import TaskDef

ORIGIN = "your own images and labels, or `labelgrid scenes`"
LAYOUT = """\
images/PATH.jpg             images of any sizes, in any sub-folders (jpg, png, webp, heic, …)
labels/TASK/PATH.png        the label of images/PATH.jpg for a task; any may be missing
labels/TASK/PATH.jpg.png    the same, where images of one folder differ in their extension alone
tasks.toml                  optional: the tasks, a table each
splits/NAME.txt             optional: the images of a split, one path below images/ a line
"""
#: The extensions by which `check` knows labels.
LABELS = (".png", ".npy", ".tiff", ".tif")


@dataclass(frozen=True, kw_only=True)
class FolderDataset:
    """A `labelgrid.data.dataset.Dataset` of plain folders.

    It holds image ids; every call reads files.

    Args:
        root: the folder of the layout.
        names: the image ids, sorted.
        whole: the image ids whose label files keep the image's extension, because several images
            share the rest.
        image_folder: the folder of images below the root.
        label_folder: the folder of labels below the root.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)
    whole: frozenset[str] = field(repr=False)
    image_folder: str = "images"
    label_folder: str = "labels"

    def images(self) -> Sequence[str]:
        """The image ids: paths relative to the folder of images."""
        return self.names

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """As `ImageSource.image`."""
        return read_image(self.root / self.image_folder / image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        path = self.label_file(image_id, task)
        return task.read(path) if path else None

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `Located.label_file`.

        Raises:
            LabelError: two files match the image, or one file matches several images.
        """
        return label_file(self.root / self.label_folder / task.name, image_id, task, self.whole)

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The image ids of each split, from the files in `splits/`.

        Raises:
            ImageError: a split names an image that does not exist.
        """
        splits = {
            path.stem: read_list(path) for path in sorted((self.root / "splits").glob("*.txt"))
        }
        existing = set(self.names)
        for split, image_ids in splits.items():
            check_split_ids(self.split_file(split), image_ids, existing)
        return splits

    def split_file(self, split: str) -> Path:
        """As `Located.split_file`."""
        return self.root / "splits" / f"{split}.txt"

    def tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """As `Described.tasks`: the tables of `tasks.toml`, none if there is no such file.

        Raises:
            RecipeError: the file is no TOML.
        """
        path = self.root / "tasks.toml"
        return read_toml(path) if path.is_file() else {}


def build(root: Path | str, images: str = "images", labels: str = "labels") -> FolderDataset:
    """Build the data set below `root`.

    Args:
        root: the folder of the layout.
        images: the folder of images below it; "." for the root itself.
        labels: the folder of labels below it.

    Raises:
        ImageError: there are no images.
    """
    names = tuple(list_images(Path(root) / images))
    return FolderDataset(
        root=Path(root),
        names=names,
        whole=whole_names(names, names),
        image_folder=images,
        label_folder=labels,
    )


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per folder with labels of no image.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    faults = []
    names = {name for image_id in source.names for name in (image_id, stem(image_id))}
    for folder in sorted(
        path for path in (source.root / source.label_folder).glob("*") if path.is_dir()
    ):
        labels = (
            path
            for path in folder.rglob("*")
            if path.suffix in LABELS and not _is_shortened(path.name)
        )
        others = (
            path.relative_to(folder).as_posix() for path in labels if not path.name.startswith(".")
        )
        faults += unmatched_sentence(
            [name for name in others if stem(name) not in names], (), folder.name
        )
    return faults


def _is_shortened(name: str) -> bool:
    """Whether a file name is so long that it may stand for a longer one."""
    return len(name.encode()) > LONGEST - 4


def label_file(
    folder: Path, image_id: str, task: TaskDef, whole: Collection[str] = ()
) -> Path | None:
    """Find the file of an image's label in a task's folder: `PATH.png`, or `PATH.jpg.png` for image `PATH.jpg`.

    Args:
        folder: the folder of the task's labels.
        image_id: the image.
        task: its format gives the extensions of label files.
        whole: the image ids whose labels need the image's extension; see
            `labelgrid.formats.naming.whole_names`.

    Returns:
        The file; None if there is none.

    Raises:
        LabelError: two files match the image, or one file matches several images.
    """
    extensions = codec(task.spec.codec).EXTENSIONS
    full = [
        path
        for extension in extensions
        if (path := folder / shorten_path(f"{image_id}{extension}")).is_file()
    ]
    names = (shorten_path(f"{stem(image_id)}{extension}") for extension in extensions)
    short = [path for name in names if (path := folder / name).is_file()]
    if short and image_id in whole and not full:
        raise LabelError(
            f"Several images are called '{stem(image_id)}', so this label could belong to any of them.",
            where=str(short[0]),
            next_step=f"Name it after its image with the extension: '{Path(image_id).name}{short[0].suffix}'.",
        )
    paths = full if image_id in whole else full + short
    if len(paths) > 1:
        raise LabelError(
            f"Two files could be the {task.name} label of image '{image_id}': '{paths[0].name}' and '{paths[1].name}'.",
            where=str(paths[0].parent),
            next_step="Remove one of them.",
        )
    return paths[0] if paths else None
