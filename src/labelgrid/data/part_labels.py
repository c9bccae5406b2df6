"""Composes labels from the answered regions of cells. Loads no torch."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.files import inside
from labelgrid.basics.kept_files import KeptFiles
from labelgrid.basics.type_names import Names
from labelgrid.formats.codec import LabelArray, check_digest
from labelgrid.ledger.grid import Cell, Part, State
from labelgrid.ledger.store import CellRow, Store
from labelgrid.regions.partition import Partition, read_partition
from labelgrid.regions.parts import AnsweredPart, compose
from labelgrid.tasks.task import TaskDef

#: The folder of a project with the partitions of its images, and that with composed labels.
REGIONS = "regions"
COMPOSED = "composed"
#: The most bytes of composed labels.
LARGEST = 2**30


def partition_file(folder: Path, digest: str) -> Path:
    """The file of a partition in a project's folder."""
    return folder / REGIONS / f"{digest}.png"


class GrantedPart(NamedTuple):
    """The answer for a region: a file or, where it is None, the number of a class."""

    region: int
    path: Path | None
    digest: str
    value: int | None
    classes: Names


@dataclass(frozen=True)
class PartLabel:
    """A label of a cell's answered regions.

    Args:
        folder: the project's.
        partition: the digest of the partition.
        parts: the answers, by region.
        weight: the mean of their weights in training.
    """

    folder: Path
    partition: str
    parts: tuple[GrantedPart, ...]
    weight: float

    @cached_property
    def share(self) -> float:
        """The share of the image's pixels in answered regions.

        Raises:
            LabelError: the file of the partition is missing or damaged.
        """
        return self._partition().share([part.region for part in self.parts])

    @cached_property
    def digest(self) -> str:
        """The hash of all that the label is composed of."""
        hasher = hashlib.blake2b(self.partition.encode(), digest_size=16)
        for part in self.parts:
            hasher.update(repr((part.region, part.digest, part.value, part.classes)).encode())
        return hasher.hexdigest()

    def check(self) -> None:
        """Refuse a label whose files are missing or have changed.

        Raises:
            LabelError: one is or has.
        """
        self._partition()
        for path, digest in {(part.path, part.digest) for part in self.parts}:
            if path is not None:
                check_digest(path, digest)

    def read(self, task: TaskDef) -> LabelArray:
        """The label: valid in the answered regions alone.

        It is composed once, and kept in a folder of the project that can be removed.

        Raises:
            LabelError: a file is missing or has changed, or an answer is wrong.
        """
        kept = KeptFiles(self.folder / COMPOSED, LARGEST)
        names = repr((self.digest, task.kind, tuple(task.keys.items())))
        key = hashlib.blake2b(names.encode(), digest_size=16).hexdigest()
        content = kept.read_bytes(key)
        if content is not None:
            return _unpacked(content)
        label = self.compose(task)
        packed = _packed(label)
        if kept.has_room(len(packed)):
            kept.write_bytes(key, packed)
        return label

    def compose(self, task: TaskDef, whole: LabelArray | None = None) -> LabelArray:
        """Compose the label from its files.

        Args:
            task: the task.
            whole: a label of the whole image, in place of the files.

        Raises:
            LabelError: as in `read`.
        """
        return _merged(compose(task, self._partition(), self._answers(task, whole)))

    def _partition(self) -> Partition:
        return read_partition(partition_file(self.folder, self.partition), self.partition)

    def _answers(self, task: TaskDef, whole: LabelArray | None) -> Iterator[AnsweredPart]:
        """The answers; regions with the same file or the same key are one."""
        alike = defaultdict[GrantedPart, list[int]](list)
        for part in self.parts:
            alike[part._replace(region=0)].append(part.region)
        words = {number: word for word, number in task.keys.items()}
        for part, regions in alike.items():
            numbers = tuple(regions)
            if part.path is not None:
                label = whole
                if label is None:
                    check_digest(part.path, part.digest)
                    label = task.read(part.path)
                yield AnsweredPart(regions=numbers, label=label, classes=part.classes)
            elif part.value is not None:
                word = part.classes[part.value] if part.classes else words[part.value]
                yield AnsweredPart(regions=numbers, key=word, classes=part.classes)


def _merged(labels: tuple[LabelArray, ...]) -> LabelArray:
    """Merge labels into one, with the classes annotated in all."""
    first, *others = labels
    value = first.value.copy()
    valid = first.valid.copy()
    annotated = [label.annotated for label in labels if label.annotated is not None]
    for label in others:
        value[label.valid] = label.value[label.valid]
        valid |= label.valid
    if not annotated:
        return LabelArray(value, valid)
    common: Bools = np.logical_and.reduce(annotated)
    return LabelArray(value, valid & common[np.where(valid, value[..., 0], 0)], common)


def _packed(label: LabelArray) -> bytes:
    file = io.BytesIO()
    annotated = np.zeros(0, np.bool_) if label.annotated is None else label.annotated
    np.savez_compressed(file, value=label.value, valid=label.valid, annotated=annotated)
    return file.getvalue()


def _unpacked(content: bytes) -> LabelArray:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        annotated = arrays["annotated"]
        return LabelArray(arrays["value"], arrays["valid"], annotated if annotated.size else None)


def part_labels(store: Store, folder: Path) -> dict[Cell, PartLabel]:
    """The labels of cells with answered regions.

    Args:
        store: the ledger.
        folder: its project's folder.

    Raises:
        ProjectError: the path of an answer leads out of the folder.
    """
    rows = defaultdict[Cell, list[CellRow]](list)
    for row in store.parts(state=State.LABELLED):
        rows[Cell(row.cell.image_id, row.cell.task)].append(row)
    labels = {}
    for cell, answers in rows.items():
        parts = tuple(_granted(folder, row) for row in answers)
        weight = sum(row.weight for row in answers) / len(answers)
        labels[cell] = PartLabel(folder, answers[0].partition, parts, weight)
    return labels


def _granted(folder: Path, row: CellRow) -> GrantedPart:
    assert isinstance(row.cell, Part)
    return GrantedPart(
        region=row.cell.region,
        path=inside(folder, row.path) if row.path else None,
        digest=row.digest,
        value=row.value,
        classes=row.classes,
    )
