"""Checks and digests the labels of a study's suppliers; what is as before is not read again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

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
    """The digests of a study's supplied labels.

    Args:
        request: the request of the study.
        earlier: the result of earlier calls: stamps of files whose labels were right, with their
            digests.

    Attributes:
        digests: the same of this call.
    """

    request: StudyRequest
    earlier: Mapping[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict, init=False)

    def of(self, supplier: StudySupplier) -> str:
        """A digest of a supplier's labels, with the declaration.

        Raises:
            LabelError: a label is wrong, or there is none.
        """
        reader = SupplierReader.of(supplier, self._dataset, self._tasks)
        paths = reader.files(self._image_ids)
        names = {path.relative_to(supplier.folder).as_posix(): path for path in paths}
        files = {}
        for name, path in names.items():
            status = path.stat()
            files[name] = (status.st_size, status.st_mtime_ns, status.st_ino)
        # By this, files are known again without reading them, as labels of these tasks.
        stamp = hash_of([asdict(row) for row in self.request.study.rows()], files)
        if stamp in self.earlier:
            self.digests[stamp] = self.earlier[stamp]
        if stamp not in self.digests:
            _check_labels(reader, self._image_ids)
            self.digests[stamp] = hash_of({name: digest(path) for name, path in names.items()})
        return self.digests[stamp]

    @cached_property
    def _dataset(self) -> Dataset:
        return dataset_of(Oracle(self.request.study.data, str(self.request.root)))

    @cached_property
    def _tasks(self) -> dict[str, TaskDef]:
        return definitions(self.request.study.rows())

    @cached_property
    def _image_ids(self) -> Sequence[str]:
        study = self.request.study
        return study.splits(self.request.root)[study.pool]


def _check_labels(reader: SupplierReader, image_ids: Sequence[str]) -> None:
    """Read every label of some images; there must be a label."""
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
