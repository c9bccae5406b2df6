"""Compares the labels of a project with their images in shards, in any place. Loads no torch.

A shard is some of the images; what is found about their labels is one file, which depends on the
ledger, the settings, and the files of images and labels alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labelgrid.audit.label_evidence import LabelEvidence, gathered
from labelgrid.basics.files import remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.executors.spreading import JOBS, Spreading, pieces_of_images
from labelgrid.executors.stamped_record import (
    Stamped,
    not_there_error,
    read_stamped,
    record_path,
    write_stamped,
)
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_comparison import ComparedImage, Comparing, labels_by_image
from labelgrid.project.label_stamp import stamp_of_labels
from labelgrid.recipes.resolve import hash_of

#: The module that processes load before they compare labels.
PRELOADED = __name__
#: The folder of the project with the records of shards, until all are done.
FOLDER = Path("audit", "labels")
UNCHANGED = "Finished shards are kept."


@dataclass(frozen=True, kw_only=True)
class ComparedShard(Stamped):
    """What was found about the labels of a shard's images."""

    images: Sequence[ComparedImage]


@dataclass(frozen=True, kw_only=True)
class LabelShard:
    """Images whose labels are compared together.

    Args:
        folder: the project's.
        known: the project's tasks and images.
        path: of the record.
        image_ids: the images.
        stamp: of the record.
    """

    folder: Path
    known: Roster
    path: Path
    image_ids: Sequence[str]
    stamp: str

    def read(self) -> ComparedShard | None:
        """The record; None if it is not there."""
        return read_stamped(ComparedShard, self.path, self.stamp)

    def is_done(self) -> bool:
        """Whether the record is there."""
        return self.read() is not None


def compare_shard(shard: LabelShard, progress: Progress) -> None:
    """Compare the labels of a shard: the function of its job."""
    with ProjectFolder.open(shard.folder) as project, project.store.steady(shard.known):
        progress.start("Comparing labels", len(shard.image_ids), "images")
        comparing = Comparing(project, labels_by_image(project))
        images = list(comparing.images(shard.image_ids, progress))
    write_stamped(ComparedShard(stamp=shard.stamp, images=images), shard.path, UNCHANGED)


def evidence_elsewhere(
    project: ProjectFolder, progress: Progress, spreading: Spreading
) -> LabelEvidence | None:
    """As `gather_evidence`, in the shards and the place of `spreading`.

    Returns:
        What was found; None if that was only a share.

    Raises:
        ProjectError: shards could not be compared.
    """
    rows = labels_by_image(project)
    image_ids = sorted(rows)
    folder = project.folder / FOLDER
    shards = spreading.shards(folder, partial(_shards, project, image_ids), len(image_ids))
    pieces = pieces_of_images(shards, compare_shard)
    if not spreading.run("Comparing labels", pieces, folder / JOBS, progress):
        return None
    found = gathered(project, rows, _images(shards))
    remove_folder(folder)
    return found


def _shards(project: ProjectFolder, image_ids: Sequence[str], size: int) -> list[LabelShard]:
    """The shards of images with labels, in their order."""
    folder = project.folder.absolute()
    known = project.store.known_roster()
    common = stamp_of_labels(project)
    files = {row.image_id: (row.root, row.digest) for row in project.store.images()}
    shards = []
    for place, start in enumerate(range(0, len(image_ids), size)):
        own = image_ids[start : start + size]
        shard = LabelShard(
            folder=folder,
            known=known,
            path=record_path(folder / FOLDER, size, place),
            image_ids=own,
            stamp=hash_of(common, [(image_id, *files[image_id]) for image_id in own]),
        )
        shards.append(shard)
    return shards


def _images(shards: Sequence[LabelShard]) -> Iterator[ComparedImage]:
    """What was found, image by image; one shard at a time is in memory.

    Raises:
        ProjectError: a shard is not done.
    """
    for shard in shards:
        record = shard.read()
        if record is None:
            what = f"What was found about the labels of {len(shard.image_ids)} images"
            raise not_there_error(what, shard.path, UNCHANGED)
        yield from record.images
