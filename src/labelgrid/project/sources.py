"""Provides a project's images and granted labels for training and scoring. Loads no torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.annotate.answers import Fault
from labelgrid.basics import plugins
from labelgrid.basics.array_types import Bytes
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.type_names import Size
from labelgrid.data.cameras import Cameras, read_cameras
from labelgrid.data.dataset import Dataset, Source, WrappedImages
from labelgrid.data.layouts.folder import label_file
from labelgrid.data.project_source import (
    GrantedLabel,
    ProjectSource,
    granted_labels,
    parts_of_cells,
)
from labelgrid.formats.codec import LabelArray, same_shape, size_error
from labelgrid.formats.naming import whole_names
from labelgrid.images.listing import EXTENSIONS
from labelgrid.images.places import ImagePaths
from labelgrid.images.reading import image_size, read_image
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import find_images
from labelgrid.project.settings import Oracle
from labelgrid.tasks.task import TaskDef, TaskDefs

if TYPE_CHECKING:  # most projects have no images in stores of objects
    from labelgrid.storage.addresses import Address


@dataclass(frozen=True)
class OracleSource(WrappedImages):
    """A data set of which only granted labels can be read; a `Source` with weights.

    Args:
        source: the data set.
        labels: granted cell -> its label, of which only the weight is used.
    """

    source: Source
    labels: Mapping[Cell, GrantedLabel]

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`; a label that was not granted is missing."""
        entry = self.labels.get(Cell(image_id, task.name))
        label = self.source.label(image_id, task) if entry else None
        if label is None or entry is None or entry.parts is None:
            return label
        return entry.parts.compose(task, label)

    def weight(self, image_id: str, task: str) -> float:
        """As `Weighted.weight`."""
        entry = self.labels.get(Cell(image_id, task))
        return entry.weight if entry else 1.0


def dataset_of(oracle: Oracle) -> Dataset:
    """Open the data set that answers a simulated campaign."""
    dataset: Dataset = plugins.create("layouts", oracle.data, oracle.root)
    return dataset


def source_of(project: ProjectFolder) -> ProjectSource | OracleSource:
    """A snapshot of the project's images and granted labels."""
    if project.settings.oracle:
        rows = project.store.cells(state=State.LABELLED)
        granted = {row.cell: GrantedLabel(Path(), row.weight, "") for row in rows}
        granted = parts_of_cells(project.store, project.folder) | granted
        return OracleSource(dataset_of(project.settings.oracle), granted)
    labels = granted_labels(project.store, project.folder)
    image_files = {row.image_id: (row.root, row.digest) for row in project.store.images()}
    return ProjectSource(image_files, labels, read_cameras(project.folder))


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Any images, with the labels `<task>/<image path>.<ext>` of an optional folder: a `Source`.

    Args:
        paths: image id -> file.
        labels: the folder of labels, or the folder above its `labels/`.
        whole: the images whose labels have the image's extension in their names.
        digests: image id -> expected content digest, for images with a known one.
        cameras: the cameras of the images, by their ids; None: unknown.
    """

    paths: Mapping[str, Path]
    labels: Path | None = None
    whole: frozenset[str] = field(default=frozenset(), repr=False)
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    cameras: Cameras | None = None

    @classmethod
    def of(
        cls, path: "Path | Address", labels: Path | None = None, left_out: list[Fault] | None = None
    ) -> "ImageFiles":
        """The images of a folder or a list, of an address, or a single image.

        Files whose names cannot be used are added to `left_out`; without it, they are an error.

        Raises:
            ImageError: there is no such image or folder.
            LabelError: there is no such folder of labels.
        """
        paths: Mapping[str, Path]
        if not isinstance(path, Path):
            paths = _remote_paths(path, left_out)
        elif not path.exists():
            raise ImageError(
                "There is no such image or folder.", where=path, next_step="Check the path."
            )
        elif path.is_file():
            paths = {path.name: path}
        else:
            (folder,) = find_images([path], left_out)
            paths = {name: path / name for name in folder.image_ids}
        if labels:
            labels = labels_folder(labels)
        return cls(paths=paths, labels=labels, whole=whole_names(paths, paths))

    def images(self) -> Sequence[str]:
        """As `ImageSource.images`."""
        return list(self.paths)

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return read_image(self.paths[image_id], self.digests.get(image_id, ""))

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """As `CameraSource.camera`."""
        if self.cameras is None:
            return None
        return self.cameras.camera(image_id, size, self.paths[image_id])

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        path = self._label_file(image_id, task)
        if path is None:
            return None
        stored = task.stored_size(path)
        size = image_size(self.paths[image_id])
        resampled = task.form.resample and stored and same_shape(stored, size)
        # A header may leave open which side of the image is up.
        if stored and sorted(stored) != sorted(size) and not resampled:
            advice = "Make it at the image's size, upright."
            raise size_error(stored, size, advice, where=str(path), task=task.name)
        return task.read_at(path, size)

    def label_counts(self, tasks: TaskDefs) -> dict[str, int]:
        """The number of label files of the images, for each task with any."""
        counts = {}
        for name, task in tasks.items():
            count = sum(self._label_file(image_id, task) is not None for image_id in self.paths)
            if count:
                counts[name] = count
        return counts

    def _label_file(self, image_id: str, task: TaskDef) -> Path | None:
        if self.labels is None:
            return None
        return label_file(self.labels / task.name, image_id, task, self.whole)


def _remote_paths(address: "Address", left_out: list[Fault] | None) -> ImagePaths:
    if address.suffix in EXTENSIONS:
        name = address[len(address.folder) + 1 :]
        return ImagePaths({name: (str(address.folder), "")})
    places: dict[str, tuple[str, str]] = {}
    for folder in find_images([address], left_out):
        places |= dict.fromkeys(folder.image_ids, (folder.root, ""))
    return ImagePaths(places)


def other_folders(folder: Path, tasks: Collection[str]) -> list[str]:
    """The names of a folder's folders that are of none of the tasks."""
    return sorted({path.name for path in folder.iterdir() if path.is_dir()}.difference(tasks))


def labels_folder(folder: Path) -> Path:
    """The folder of label files: the given folder, or `labels/` in the given folder.

    Raises:
        LabelError: there is no such folder.
    """
    if not folder.is_dir():
        raise LabelError(
            "There is no such folder of labels.", where=folder, next_step="Check the path."
        )
    inner = folder / "labels"
    if inner.is_dir():
        return inner
    return folder
