"""Measures relations and suppliers of a project as jobs, in any place. Loads no torch.

A job measures one relation, or the labels of one supplier and task. What it finds is one file,
which depends on the ledger, the settings, and the files of labels and cameras alone.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics.files import read_text, remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.executors.passes import Pass, Shard, Stamped
from labelgrid.executors.workplace import Workplace
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_stamp import stamp_of_labels
from labelgrid.project.suppliers import INDEX, supplier_folder, supplier_names
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.trust_rows import TrustRows, UnmeasuredTrust, measure_trust

#: The module that processes load before they measure.
PRELOADED = __name__
#: The folder of the project with the records, until all are there.
FOLDER = ".relate"


@dataclass(frozen=True, kw_only=True)
class TrustRecord(Stamped):
    """What a job measured."""

    rows: TrustRows


def measure_part(
    shard: Shard[TrustRecord],
    folder: Path,
    roster: Roster,
    part: UnmeasuredTrust,
    progress: Progress,
) -> TrustRecord:
    """Measure one relation, or the labels of one supplier and task.

    Args:
        shard: its name.
        folder: the project's, as its user wrote it: remarks name it.
        roster: the project's tasks and images.
        part: what is measured.
        progress: reports it.
    """
    with ProjectFolder.open(folder) as project, project.store.steady(roster):
        rows = measure_trust(project, progress, part)
    return TrustRecord(stamp=shard.stamp, rows=rows)


def rows_elsewhere(
    project: ProjectFolder, progress: Progress, unmeasured: UnmeasuredTrust, workplace: Workplace
) -> TrustRows | None:
    """As `measure_trust`, in the place of `workplace`.

    Returns:
        What was measured; None if that was only a share.

    Raises:
        ProjectError: something could not be measured.
    """
    measuring = trust_pass(project, unmeasured)
    shards = measuring.shards(workplace)
    if not measuring.run(shards, workplace, progress):
        return None
    parts = [record.rows for record in measuring.records(shards)]
    remove_folder(measuring.folder)
    return TrustRows(
        relations=[row for part in parts for row in part.relations],
        suppliers=[row for part in parts for row in part.suppliers],
    )


def trust_pass(project: ProjectFolder, unmeasured: UnmeasuredTrust) -> Pass[TrustRecord]:
    """The measurement of all that is to be measured as a pass."""
    folder = project.folder
    parts = unmeasured.parts()
    roster = project.store.known_roster()
    files = [(row.image_id, row.root, row.digest) for row in project.store.images()]
    common = hash_of(str(folder), stamp_of_labels(project), files, _supplied(project))
    return Pass(
        what="Measuring trust",
        folder=folder / FOLDER,
        kind=TrustRecord,
        items=list(parts),
        stamp=lambda names: hash_of(common, asdict(parts[names[0]])),
        function=measure_part,
        arguments=lambda shard: (folder, roster, parts[shard.items[0]]),
        unit="measurements",
        singly=True,
    )


def _supplied(project: ProjectFolder) -> list[str]:
    """What the project knows of the labels of its suppliers."""
    texts = []
    for name in supplier_names(project):
        folder = supplier_folder(project, name)
        texts.append(name)
        paths = (folder / DECLARATION, folder / INDEX)
        texts += [read_text(path) for path in paths if path.is_file()]  # others say what is missing
    return texts
