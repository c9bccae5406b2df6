"""Measures relations and suppliers of a project as jobs, in any place. Loads no torch.

A job measures one relation, or the labels of one supplier and task. What it finds is one file,
which depends on the ledger, the settings, and the files of labels and cameras alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics.files import read_text, remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.executors.spread import Piece, given
from labelgrid.executors.spreading import JOBS, Spreading
from labelgrid.executors.stamped_record import (
    Stamped,
    not_there_error,
    read_stamped,
    write_stamped,
)
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_stamp import stamp_of_labels
from labelgrid.project.suppliers import INDEX, supplier_folder, supplier_names
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.relation_trust import RelationRow
from labelgrid.suppliers.supplier_trust import SupplierRow
from labelgrid.suppliers.trust_rows import TrustRows, UnmeasuredTrust, measure_trust

#: The module that processes load before they measure.
PRELOADED = __name__
#: The folder of the project with the records, until all are there.
FOLDER = ".relate"
UNCHANGED = "Finished measurements are kept."


@dataclass(frozen=True, kw_only=True)
class TrustRecord(Stamped):
    """What a job measured."""

    rows: TrustRows


@dataclass(frozen=True, kw_only=True)
class TrustJob:
    """What is measured in one job.

    Args:
        name: in words.
        folder: the project's, as its user wrote it: remarks name it.
        known: the project's tasks and images.
        path: of the record.
        unmeasured: what is measured.
        stamp: of the record.
    """

    name: str
    folder: Path
    known: Roster
    path: Path
    unmeasured: UnmeasuredTrust
    stamp: str

    def read(self) -> TrustRows | None:
        """What was measured; None if the record is not there."""
        record = read_stamped(TrustRecord, self.path, self.stamp)
        return record.rows if record else None

    def is_done(self) -> bool:
        """Whether the record is there."""
        return self.read() is not None


def measure_job(job: TrustJob, progress: Progress) -> None:
    """Measure what a job is about: its function."""
    with ProjectFolder.open(job.folder) as project, project.store.steady(job.known):
        rows = measure_trust(project, progress, job.unmeasured)
    write_stamped(TrustRecord(stamp=job.stamp, rows=rows), job.path, UNCHANGED)


def rows_elsewhere(
    project: ProjectFolder, progress: Progress, unmeasured: UnmeasuredTrust, spreading: Spreading
) -> TrustRows | None:
    """As `measure_trust`, in the place of `spreading`.

    Returns:
        What was measured; None if that was only a share.

    Raises:
        ProjectError: something could not be measured.
    """
    folder = project.folder / FOLDER
    jobs = _jobs(project, unmeasured)
    pieces = []
    for job in jobs:
        piece = Piece(
            name=job.name,
            amount=1,
            unit="measurements",
            function=measure_job,
            arguments=given(job),
            is_done=job.is_done,
        )
        pieces.append(piece)
    if not spreading.run("Measuring trust", pieces, folder / JOBS, progress):
        return None
    rows = _joined(jobs)
    remove_folder(folder)
    return rows


def _jobs(project: ProjectFolder, unmeasured: UnmeasuredTrust) -> list[TrustJob]:
    """The jobs of all that is to be measured, in its order."""
    folder = project.folder
    known = project.store.known_roster()
    files = [(row.image_id, row.root, row.digest) for row in project.store.images()]
    common = hash_of(str(folder), stamp_of_labels(project), files, _supplied(project))
    jobs = []
    for place, (name, part) in enumerate(unmeasured.parts().items()):
        job = TrustJob(
            name=name,
            folder=folder,
            known=known,
            path=folder / FOLDER / f"{place:05d}.json",
            unmeasured=part,
            stamp=hash_of(common, asdict(part)),
        )
        jobs.append(job)
    return jobs


def _supplied(project: ProjectFolder) -> list[str]:
    """What the project knows of the labels of its suppliers."""
    texts = []
    for name in supplier_names(project):
        folder = supplier_folder(project, name)
        texts.append(name)
        paths = (folder / DECLARATION, folder / INDEX)
        texts += [read_text(path) for path in paths if path.is_file()]  # others say what is missing
    return texts


def _joined(jobs: Sequence[TrustJob]) -> TrustRows:
    """All rows, in the order of their jobs.

    Raises:
        ProjectError: a job is not done.
    """
    relations: list[RelationRow] = []
    suppliers: list[SupplierRow] = []
    for job in jobs:
        rows = job.read()
        if rows is None:
            raise not_there_error(f"What was measured ({job.name})", job.path, UNCHANGED)
        relations += rows.relations
        suppliers += rows.suppliers
    return TrustRows(relations=relations, suppliers=suppliers)
