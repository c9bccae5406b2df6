"""Defines the interfaces of data sources: images, labels, splits and weights."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import EmptyLabelError
from labelgrid.basics.type_names import Size, Tables
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The image ids of each named split.
Splits = Mapping[str, Sequence[str]]


class ImageSource(Protocol):
    """Images by id. Every call reads the file; no image is kept in memory."""

    def images(self) -> Sequence[str]:
        """The image ids."""

    def image(self, image_id: str) -> Bytes:
        """Read an image: RGB, uint8 [h, w, 3], upright.

        Raises:
            ImageError: the file cannot be read.
        """


class Source(ImageSource, Protocol):
    """Images and labels, on which a network is trained and evaluated."""

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """Read the label of a cell at its image's size; None if it is missing."""


class Dataset(Source, Protocol):
    """A published data set: images, labels and named splits.

    The plug-ins of `labelgrid.data` build one from a root.
    """

    def splits(self) -> Splits:
        """The image ids of each named split; empty if the data set has no splits."""


@runtime_checkable
class DescribedDataset(Protocol):
    """A data set that knows the tasks of the labels."""

    def tasks(self) -> Tables:
        """The tasks of the labels, as the tables of a file of tasks."""


@runtime_checkable
class ListedDataset(Protocol):
    """A data set that knows the cells with a label, without reading any.

    In a study, the others are skipped from the start: no strategy can pick them.
    """

    def labelled(self) -> Collection[Cell]:
        """The cells that have a label."""


@runtime_checkable
class LocatedDataset(Protocol):
    """A data set that knows the files of labels; messages name the files."""

    def label_file(self, image_id: str, task: TaskDef) -> Path | None:
        """The file of a cell's label; None if it is missing."""

    def split_file(self, split: str) -> Path:
        """The list of a split's images, or the folder of the images."""


@runtime_checkable
class WeightedSource(Protocol):
    """A source whose labels have weights in training, which a strategy may have set."""

    def weight(self, image_id: str, task: str) -> float:
        """The weight of a cell's label in training."""


@runtime_checkable
class CameraSource(Protocol):
    """A source that knows the cameras of images."""

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """The camera of an image of this height and width; None if it is unknown."""


@runtime_checkable
class SizedSource(Protocol):
    """A source that knows the sizes of images without decoding any."""

    def size(self, image_id: str) -> Size:
        """The upright height and width of an image.

        Raises:
            ImageError: the file cannot be read.
        """


@runtime_checkable
class ContentSource(Protocol):
    """A source that knows the content hashes of images' files."""

    def content(self, image_id: str) -> str:
        """The content hash of an image's file; "" if the file is missing or has changed."""


@runtime_checkable
class LabelContentSource(Protocol):
    """A source that knows the contents of labels' files."""

    def label_content(self, image_id: str, task: TaskDef) -> str:
        """Identify the content of a label's file; "" for a missing or derived label.

        Raises:
            LabelError: the file is missing, or has changed since its import.
        """


def weight_of(source: Source | ImageSource, image_id: str, task: str) -> float:
    """The weight of a cell's label in training: 1 unless the source is a `WeightedSource`."""
    if isinstance(source, WeightedSource):
        return source.weight(image_id, task)
    return 1.0


def camera_of(source: ImageSource, image_id: str, size: Size) -> Camera | None:
    """The camera of an image; None unless the source is a `CameraSource` that knows it."""
    if isinstance(source, CameraSource):
        return source.camera(image_id, size)
    return None


def size_of(source: ImageSource, image_id: str) -> Size:
    """The height and width of an image; it is decoded unless the source is a `SizedSource`."""
    if isinstance(source, SizedSource):
        return source.size(image_id)
    height, width, _ = source.image(image_id).shape
    return height, width


def content_of(source: ImageSource, image_id: str) -> str:
    """The hash of the content of an image's file; "" unless the source is a `ContentSource`."""
    if isinstance(source, ContentSource):
        return source.content(image_id)
    return ""


def label_content_of(source: ImageSource, image_id: str, task: TaskDef) -> str:
    """The content of a label's file; "" unless the source is a `LabelContentSource`."""
    if isinstance(source, LabelContentSource):
        return source.label_content(image_id, task)
    return ""


@dataclass(frozen=True, eq=False)
class WrappedImages:
    """The images of a source as they are, under changed labels.

    Args:
        source: the images.
    """

    source: ImageSource

    def images(self) -> Sequence[str]:
        """As `ImageSource.images`."""
        return self.source.images()

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        return self.source.image(image_id)

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """As `CameraSource.camera`."""
        return camera_of(self.source, image_id, size)

    def size(self, image_id: str) -> Size:
        """As `SizedSource.size`."""
        return size_of(self.source, image_id)

    def content(self, image_id: str) -> str:
        """As `ContentSource.content`."""
        return content_of(self.source, image_id)


def labels_of(source: Source, tasks: TaskDefs, image_id: str) -> dict[str, LabelArray]:
    """Read the labels that a source has of an image, by task."""
    labels = {}
    for name, task in tasks.items():
        label = source.label(image_id, task)
        if label is not None:
            labels[name] = label
    return labels


def nonempty_label(source: Source, image_id: str, task: TaskDef) -> LabelArray | None:
    """Read the label of a cell; None if it is missing or has no valid pixel.

    The parts of people have none in an image without people.
    """
    try:
        label = source.label(image_id, task)
    except EmptyLabelError:
        return None
    if label is None or not label.valid.any():
        return None
    return label
