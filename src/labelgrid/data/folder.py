"""Plain folders as a data set: images of any size, and the labels that exist.

Below the root: `images/PATH.jpg`, `labels/TASK/PATH.png`, `splits/NAME.txt`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import ImageError, LabelError
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.labels.images import list_images, read_image, read_list
from labelgrid.labels.naming import stem, whole_names
from labelgrid.tasks.task import TaskDef

LAYOUT = """\
images/PATH.jpg             images of any sizes, in any sub-folders (jpg, png, bmp, tiff, webp)
labels/TASK/PATH.png        the label of images/PATH.jpg for a task; any may be missing
labels/TASK/PATH.jpg.png    the same, where images of one folder differ in their extension alone
splits/NAME.txt             optional: the images of a split, one path below images/ a line
"""


@dataclass(frozen=True)
class Folder:
    """A `labelgrid.data.dataset.Dataset` over folders; it holds names, every call reads.

    Args:
        root: what the layout is below.
        names: the image ids, sorted.
        whole: those of them whose labels carry the image's extension, because several images share the rest.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)
    whole: frozenset[str] = field(repr=False)
    image_folder: str = "images"
    label_folder: str = "labels"

    def images(self) -> Sequence[str]:
        """The image ids: paths below the folder of images."""
        return self.names

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """As `ImageSource.image`."""
        return read_image(self.root / self.image_folder / image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        path = label_file(self.root / self.label_folder / task.name, image_id, task, self.whole)
        return task.read(path) if path else None

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The ids of each file in `splits/`.

        Raises:
            ImageError: a split names an image that is not there.
        """
        found = {path.stem: read_list(path) for path in sorted((self.root / "splits").glob("*.txt"))}
        known = set(self.names)
        for split, names in found.items():
            absent = [name for name in names if name not in known]
            if absent:
                raise ImageError(
                    f"{len(absent)} images of the split are not there, the first is '{absent[0]}'.",
                    where=str(self.root / "splits" / f"{split}.txt"),
                )
        return found


def build(root: Path | str, images: str = "images", labels: str = "labels") -> Folder:
    """The folder source below `root`.

    Args:
        root: what the layout is below.
        images: the folder of images in it; "." for the root itself.
        labels: the folder of labels in it.

    Raises:
        ImageError: there are no images.
    """
    names = tuple(list_images(Path(root) / images))
    return Folder(Path(root), names, whole_names(names, names), images, labels)


def label_file(folder: Path, name: str, task: TaskDef, whole: Collection[str] = ()) -> Path | None:
    """The file of an image's label in a task's folder, or None: `PATH.png`, or `PATH.jpg.png` for image `PATH.jpg`.

    Args:
        folder: of the task's labels.
        name: the image id.
        task: whose label it is; its format says which extensions count.
        whole: the images whose labels need the image's extension; see `labelgrid.labels.naming.whole_names`.

    Raises:
        LabelError: two files could be meant, or one file could be meant for two images.
    """
    extensions = codec(task.spec.codec).EXTENSIONS
    full = [path for extension in extensions if (path := folder / f"{name}{extension}").is_file()]
    short = [path for extension in extensions if (path := folder / f"{stem(name)}{extension}").is_file()]
    if short and name in whole and not full:
        raise LabelError(
            f"Several images are called '{stem(name)}', so this label could be any one's.",
            where=str(short[0]),
            next_step=f"Name it after its image with the extension: '{Path(name).name}{short[0].suffix}'.",
        )
    found = full if name in whole else full + short
    if len(found) > 1:
        raise LabelError(
            f"Two files could be the {task.name} label of image '{name}': '{found[0].name}' and '{found[1].name}'.",
            where=str(found[0].parent),
            next_step="Take one away.",
        )
    return found[0] if found else None
