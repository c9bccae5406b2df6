"""Reads plain folders as a data set: images of any size, and any labels of them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.camera import Camera
from labelgrid.basics.config import read_toml
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import walk
from labelgrid.basics.type_names import Size, Tables
from labelgrid.data.cameras import Cameras, read_cameras
from labelgrid.data.dataset import Splits
from labelgrid.data.id_splits import check_split_ids, unmatched_sentence
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.naming import LONGEST, shorten_path, stem, whole_names
from labelgrid.images.listing import list_images, read_list
from labelgrid.images.reading import image_size, read_image
from labelgrid.tasks.task import TaskDef

ORIGIN = "your own images and labels, or `labelgrid scenes`"
LAYOUT = """\
images/PATH.jpg             images of any sizes, in any sub-folders (jpg, png, webp, heic, …)
labels/TASK/PATH.png        the label of images/PATH.jpg for a task; any may be missing
labels/TASK/PATH.jpg.png    the same, where images of one folder differ in their extension alone
tasks.toml                  optional: the tasks, a table each
splits/NAME.txt             optional: the images of a split, one path below images/ a line
camera.toml                 optional: the cameras, such as `field_of_view = 66.0`, the degrees
                            across each image's width (docs/labels.md#cameras)
"""
#: The extensions by which `check` knows labels.
LABELS = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr")


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
        cameras: the cameras in `camera.toml`; None: unknown.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)
    whole: frozenset[str] = field(repr=False)
    image_folder: str = "images"
    label_folder: str = "labels"
    cameras: Cameras | None = None

    def images(self) -> Sequence[str]:
        """The image ids: paths relative to the folder of images."""
        return self.names

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return read_image(self._image_file(image_id))

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        path = self.label_file(image_id, task)
        if path is None:
            return None
        if task.form.resample:
            return task.read_at(path, self.size(image_id))
        return task.read(path)

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """As `LocatedDataset.label_file`.

        Raises:
            LabelError: two files match the image, or one file matches several images.
        """
        return label_file(self.root / self.label_folder / task.name, image_id, task, self.whole)

    def splits(self) -> Splits:
        """The image ids of each split, from the files in `splits/`.

        Raises:
            ImageError: a split names an image that does not exist.
        """
        lists = sorted((self.root / "splits").glob("*.txt"))
        splits = {path.stem: read_list(path) for path in lists}
        existing = set(self.names)
        for split, image_ids in splits.items():
            check_split_ids(self.split_file(split), image_ids, existing)
        return splits

    def split_file(self, split: str) -> Path:
        """As `LocatedDataset.split_file`."""
        return self.root / "splits" / f"{split}.txt"

    def tasks(self) -> Tables:
        """As `DescribedDataset.tasks`: the tables of `tasks.toml`, none if there is no such file.

        Raises:
            RecipeError: the file is no TOML.
        """
        path = self.root / "tasks.toml"
        if not path.is_file():
            return {}
        return read_toml(path)

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """As `CameraSource.camera`; None if `camera.toml` does not say it."""
        if self.cameras is None:
            return None
        return self.cameras.camera(image_id, size, self._image_file(image_id))

    def size(self, image_id: str) -> Size:
        """As `SizedSource.size`."""
        return image_size(self._image_file(image_id))

    def _image_file(self, image_id: str) -> Path:
        return self.root / self.image_folder / image_id


def build(root: Path | str, images: str = "images", labels: str = "labels") -> FolderDataset:
    """Build the data set below `root`.

    Args:
        root: the folder of the layout.
        images: the folder of images below it; "." for the root itself.
        labels: the folder of labels below it.

    Raises:
        ImageError: there are no images.
        RecipeError: `camera.toml` or its table cannot be read, or has a wrong value.
    """
    names = tuple(list_images(Path(root) / images))
    return FolderDataset(
        root=Path(root),
        names=names,
        whole=whole_names(names, names),
        image_folder=images,
        label_folder=labels,
        cameras=read_cameras(Path(root)),
    )


def check(root: Path | str) -> list[str]:
    """Check the layout below `root`; return one sentence per folder with labels of no image.

    Raises:
        ImageError: there are no images.
    """
    source = build(root)
    faults = []
    stems = set(source.names)
    stems.update(stem(image_id) for image_id in source.names)
    for folder in sorted((source.root / source.label_folder).glob("*")):
        if folder.is_dir():
            faults += unmatched_sentence(_labels_of_no_image(folder, stems), (), folder.name)
    return faults


def _labels_of_no_image(folder: Path, stems: Collection[str]) -> list[str]:
    labels = []
    for prefix, _, names in walk(folder):
        for name in names:
            # A name so long may stand for a longer one.
            is_shortened = len(name.encode()) > LONGEST - 4
            if Path(name).suffix not in LABELS or name.startswith(".") or is_shortened:
                continue
            if stem(prefix + name) not in stems:
                labels.append(prefix + name)
    return labels


def label_file(
    folder: Path, image_id: str, task: TaskDef, whole: Collection[str] = ()
) -> Path | None:
    """Find the file of an image's label in a task's folder.

    It is `PATH.png`, or `PATH.jpg.png` for image `PATH.jpg`.

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
    extensions = task.codec.EXTENSIONS
    paths = _existing_files(folder, image_id, extensions)
    short = _existing_files(folder, stem(image_id), extensions)
    if image_id not in whole:
        paths += short
    elif short and not paths:
        label_name = f"{Path(image_id).name}{short[0].suffix}"
        raise LabelError(
            f"Several images are called '{stem(image_id)}', "
            "so this label could belong to any of them.",
            where=short[0],
            next_step=f"Name it after its image with the extension: '{label_name}'.",
        )
    if len(paths) > 1:
        raise LabelError(
            f"Two files could be the {task.name} label of image '{image_id}': "
            f"'{paths[0].name}' and '{paths[1].name}'.",
            where=paths[0].parent,
            next_step="Remove one of them.",
        )
    return paths[0] if paths else None


def _existing_files(folder: Path, name: str, extensions: Iterable[str]) -> list[Path]:
    paths = []
    for extension in extensions:
        path = folder / shorten_path(f"{name}{extension}")
        if path.is_file():
            paths.append(path)
    return paths
