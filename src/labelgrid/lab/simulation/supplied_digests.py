"""Checks and digests the labels of a study's suppliers; what is as before is not read again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.basics.words import join_names
from labelgrid.data.dataset import Dataset
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_suppliers import UNCHANGED, StudySupplier, SupplierReader
from labelgrid.ledger.grid import Cell
from labelgrid.project.settings import Oracle
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.resolve import hash_of
from labelgrid.tasks.task import TaskDef, definitions


@dataclass(frozen=True)
class SuppliedDigests:
    """The digests of the labels that a study's runs can have of its suppliers.

    Args:
        request: the request of the study.
        known: of earlier calls: stamps of files whose labels were right, with their digests.

    Attributes:
        found: the same of this call.
    """

    request: StudyRequest
    known: Mapping[str, str] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict, init=False)

    def of(self, supplier: StudySupplier) -> str:
        """A digest of a supplier's labels, and of what is declared of them.

        Raises:
            LabelError: a label is wrong, or there is none.
        """
        reader = SupplierReader.of(supplier, self._dataset, self._tasks)
        paths = reader.files(self._image_ids)
        stamp = self._stamp(supplier.folder, paths)
        if stamp in self.known:
            self.found[stamp] = self.known[stamp]
        if stamp not in self.found:
            _check_labels(reader, self._image_ids)
            contents = {
                path.relative_to(supplier.folder).as_posix(): digest(path) for path in paths
            }
            self.found[stamp] = hash_of(contents)
        return self.found[stamp]

    def _stamp(self, folder: Path, paths: Sequence[Path]) -> str:
        """A hash by which files are known again without reading them, as labels of these tasks."""
        files = {}
        for path in paths:
            status = path.stat()
            known_by = (status.st_size, status.st_mtime_ns, status.st_ino)
            files[path.relative_to(folder).as_posix()] = known_by
        return hash_of([asdict(row) for row in self.request.study.rows()], files)

    @cached_property
    def _dataset(self) -> Dataset:
        """The data set."""
        return dataset_of(Oracle(self.request.study.data, str(self.request.root)))

    @cached_property
    def _tasks(self) -> dict[str, TaskDef]:
        """The study's tasks, by name."""
        return definitions(self.request.study.rows())

    @cached_property
    def _image_ids(self) -> Sequence[str]:
        """The images of the pool."""
        study = self.request.study
        return study.splits(self.request.root)[study.pool]


def _check_labels(reader: SupplierReader, image_ids: Sequence[str]) -> None:
    """Read every label of some images.

    Raises:
        LabelError: one is wrong, or there is none.
    """
    count = 0
    for task in reader.tasks:
        for image_id in image_ids:
            with reader.label(Cell(image_id, task)) as label:
                count += label is not None
    if not count:
        raise LabelError(
            f"The supplier '{reader.supplier.name}' has no label of an image of the pool.",
            where=reader.supplier.folder,
            next_step="Name its files after the images: TASK/IMAGE.png. "
            f"The tasks are {join_names(list(reader.tasks))}.",
            unchanged=UNCHANGED,
        )
