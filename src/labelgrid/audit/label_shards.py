"""Compares the labels of a project with their images in shards, in any place. Loads no torch.

A shard is a part of the images. The findings about their labels are one file, which depends only on
the ledger, the settings, and the files of images and labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.files import remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.evidence.known_labels import Rows
from labelgrid.evidence.label_comparison import ComparedImage, Comparing
from labelgrid.evidence.label_evidence import LabelEvidence, gather_evidence
from labelgrid.executors.passes import RecordPass, Shard, Stamped
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from labelgrid.project.label_classes import note_label_classes
from labelgrid.project.label_stamp import stamp_of_labels
from labelgrid.recipes.resolve import hash_of

#: The module that processes load before they compare labels.
PRELOADED = __name__
#: The folder of the project with the records of shards, until all are done.
FOLDER = Path("audit", "labels")


@dataclass(frozen=True, kw_only=True)
class ComparedShard(Stamped):
    """The comparisons of a shard's images."""

    images: Sequence[ComparedImage]


def compare_shard(
    shard: Shard[ComparedShard], folder: Path, roster: Roster, progress: Progress
) -> ComparedShard:
    """Compare the labels of a shard's images."""
    with ProjectFolder.open(folder) as project, project.store.steady(roster):
        project_labels = ProjectLabels(project)
        comparing = Comparing(project_labels, project_labels.by_image())
        images = list(comparing.images(shard.items, progress))
    return ComparedShard(stamp=shard.stamp, images=images)


def find_evidence(
    project: ProjectFolder, progress: Progress, workplace: Workplace = IN_THIS_PROCESS
) -> LabelEvidence | None:
    """Compare every label with the image, and with further labels of the image and of the task.

    The classes that each label shows are stored.

    Returns:
        The evidence; None if only a share of the labels was compared.

    Raises:
        ProjectError: shards could not be compared.
    """
    project_labels = ProjectLabels(project)
    rows = project_labels.by_image()
    image_ids = sorted(rows)
    if workplace.executor is None:
        progress.start("Comparing labels", len(rows), "images")
        return _gathered(
            project_labels, rows, Comparing(project_labels, rows).images(image_ids, progress)
        )
    shard_pass = label_pass(project, image_ids)
    shards = shard_pass.shards(workplace)
    if not shard_pass.run(shards, workplace, progress):
        return None
    images = (image for record in shard_pass.records(shards) for image in record.images)
    evidence = _gathered(project_labels, rows, images)
    remove_folder(shard_pass.folder)
    return evidence


def label_pass(project: ProjectFolder, image_ids: Sequence[str]) -> RecordPass[ComparedShard]:
    """The pass that compares labels with images, in shards."""
    common = stamp_of_labels(project)
    files = {row.image_id: (row.root, row.digest) for row in project.store.images()}
    arguments = (project.folder.absolute(), project.store.known_roster())
    return RecordPass(
        activity="Comparing labels",
        folder=project.folder.absolute() / FOLDER,
        kind=ComparedShard,
        items=image_ids,
        stamp=lambda shard_ids: hash_of(
            common, [(image_id, *files[image_id]) for image_id in shard_ids]
        ),
        function=compare_shard,
        arguments=lambda shard: arguments,
    )


def _gathered(
    project_labels: ProjectLabels, rows: Mapping[str, Rows], images: Iterable[ComparedImage]
) -> LabelEvidence:
    evidence = gather_evidence(project_labels, rows, images)
    for task, classes in evidence.classes.items():
        note_label_classes(project_labels.project, project_labels.tasks[task], classes)
    return evidence
