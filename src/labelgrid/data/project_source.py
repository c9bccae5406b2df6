"""Provides the images and labels of a ledger. Loads no torch."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import digest, inside
from labelgrid.basics.type_names import Size
from labelgrid.data.cameras import Cameras
from labelgrid.data.part_labels import PartLabel, part_labels
from labelgrid.formats.codec import LabelArray, check_digest
from labelgrid.images.places import image_file, read_placed_image
from labelgrid.images.reading import image_size
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.older_classes import complete_classes
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import TaskDef


class GrantedLabel(NamedTuple):
    """A label of the ledger: the file, the weight in training, and the hash of the content.

    `classes` is the number of classes that the task had when it was made; None if it has none. A
    label of answered regions, `parts`, has no file: its path is its hash.
    """

    path: Path
    weight: float
    digest: str
    classes: int | None = None
    parts: PartLabel | None = None

    def check(self) -> None:
        """Refuse a label whose files are missing or have changed.

        Raises:
            LabelError: one is or has.
        """
        if self.parts is None:
            check_digest(self.path, self.digest)
        else:
            self.parts.check()


@dataclass(frozen=True)
class ProjectSource:
    """A snapshot of a project as a `Source` with weights.

    It holds ids and paths, so workers can unpickle it.

    Args:
        files: image id -> the root folder of its path, and the digest of its content ("" if
            unknown).
        labels: cell -> its label.
        cameras: the cameras of the images, from the project's `camera.toml`; None: unknown.
    """

    files: Mapping[str, tuple[str, str]]
    labels: Mapping[Cell, GrantedLabel]
    cameras: Cameras | None = None
    _checked: dict[Path, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def images(self) -> Sequence[str]:
        """The image ids."""
        return list(self.files)

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        root, digest = self.files[image_id]
        return read_placed_image(root, image_id, digest)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`; a file whose content has changed since its import is refused."""
        entry = self.labels.get(Cell(image_id, task.name))
        if entry is None:
            return None
        if entry.parts is not None:
            return entry.parts.read(task)
        self._check(entry)
        label = task.read(entry.path)
        if entry.classes is None:
            return label
        return task.limit_classes(label, entry.classes)

    def label_content(self, image_id: str, task: TaskDef) -> str:
        """As `LabelContentSource.label_content`."""
        entry = self.labels.get(Cell(image_id, task.name))
        if entry is None:
            return ""
        if entry.parts is not None:
            return f"{entry.digest} {task.keys}"
        self._check(entry)
        return f"{entry.digest} {entry.path.suffix} {entry.classes}"

    def _check(self, entry: GrantedLabel) -> None:
        """Check a label's file, once as long as nobody writes to it."""
        now: tuple[int, ...] = ()
        with suppress(OSError):
            status = entry.path.stat()
            now = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if not now or self._checked.get(entry.path) != now:
            check_digest(entry.path, entry.digest)
            self._checked[entry.path] = now

    def weight(self, image_id: str, task: str) -> float:
        """As `Weighted.weight`."""
        entry = self.labels.get(Cell(image_id, task))
        return entry.weight if entry else 1.0

    def camera(self, image_id: str, size: Size) -> Camera | None:
        """As `CameraSource.camera`."""
        if self.cameras is None:
            return None
        return self.cameras.camera(image_id, size, self._path(image_id))

    def size(self, image_id: str) -> Size:
        """As `SizedSource.size`."""
        return image_size(self._path(image_id))

    def content(self, image_id: str) -> str:
        """As `ContentSource.content`."""
        root, expected = self.files[image_id]
        try:
            content = digest(image_file(root, image_id, expected, check=False))
        except (ImageError, OSError):
            return ""
        return content if expected in ("", content) else ""

    def _path(self, image_id: str) -> Path:
        root, digest = self.files[image_id]
        return image_file(root, image_id, digest)


def granted_labels(store: Store, folder: Path) -> dict[Cell, GrantedLabel]:
    """All labels of a ledger, by cell. A whole label hides regions.

    Args:
        store: the ledger.
        folder: its project's folder.

    Raises:
        ProjectError: the path of a label leads out of the folder.
    """
    labels = {}
    complete = complete_classes(store)
    for row in store.cells(state=State.LABELLED):
        path = inside(folder, row.path)
        classes = max(len(row.classes), complete.get(row.cell.task, 0)) or None
        labels[row.cell] = GrantedLabel(path, row.weight, row.digest, classes)
    return parts_of_cells(store, folder) | labels


def parts_of_cells(store: Store, folder: Path) -> dict[Cell, GrantedLabel]:
    """The labels of regions, by cell.

    Raises:
        ProjectError: the path of an answer leads out of the folder.
    """
    labels = {}
    for cell, parts in part_labels(store, folder).items():
        path = Path(parts.digest)
        labels[cell] = GrantedLabel(path, parts.weight, parts.digest, parts=parts)
    return labels
