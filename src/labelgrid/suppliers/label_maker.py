"""Makes the labels of shards of images, in any place: from files, without the project's ledger.

Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from labelgrid.basics.files import disk_errors, flush, read_text, write_text
from labelgrid.basics.progress import Progress, Silent
from labelgrid.executors.passes import RecordPass, Shard, Stamped
from labelgrid.images.places import ImagePaths, chosen_paths, file_versions
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.sources import ImageFiles
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.maker import LabelPlace, Maker, identity_of
from labelgrid.suppliers.model_file import UNCHANGED

#: The module that processes load before they make labels.
PRELOADED = __name__


@dataclass(frozen=True, kw_only=True)
class MadeShard(Stamped):
    """The record of a shard whose labels are made.

    Args:
        faults: why images have none, by id.
    """

    faults: Mapping[str, str]


def make_shard(
    shard: Shard[MadeShard], maker: Maker, images: ImageFiles, place: LabelPlace, progress: Progress
) -> MadeShard:
    """Make the labels of a shard's images that a killed run did not make.

    A note of the shard's stamp says that the files that are there are of these images.
    """
    note = shard.path.with_suffix(".begun")
    with disk_errors(note, UNCHANGED):
        is_same = note.is_file() and read_text(note) == shard.stamp
    waiting = []
    for image_id in shard.items:
        paths = label_files(maker, place, [image_id])
        if is_same and all(path.is_file() for path in paths):
            progress.advance()
            continue
        for path in paths:
            path.unlink(missing_ok=True)
        waiting.append(image_id)
    if not is_same:
        write_text(note, shard.stamp, UNCHANGED)
    source = replace(images, paths=chosen_paths(images.paths, waiting))
    with ThreadPoolExecutor(4) as pool:
        files = (label_files(maker, place, [image_id]) for image_id in waiting)
        faults = maker.make(source, place, FlushingProgress(progress, files, pool))
    with disk_errors(place.folder, UNCHANGED):
        for _ in flush(filter(Path.is_file, label_files(maker, place, waiting))):
            pass
    return MadeShard(stamp=shard.stamp, faults=dict(faults))


@dataclass(frozen=True)
class FlushingProgress(Silent):
    """Begins to flush the labels of an image to the disk as soon as the image is reported.

    At the end of a shard little is left to wait for. The step of the pass goes on.
    """

    beside: Progress
    files: Iterator[list[Path]]
    pool: ThreadPoolExecutor

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        for paths in islice(self.files, amount):
            self.pool.submit(list, flush(filter(Path.is_file, paths)))
        self.beside.advance(amount, note)

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.beside.say(text)


def label_files(maker: Maker, place: LabelPlace, images: Sequence[str]) -> list[Path]:
    """The files of the labels of images, whether they are there or not."""
    paths = []
    for image_id in images:
        paths += [place.path(task, image_id, end) for task, end in maker.files.items()]
    return paths


def label_pass(maker: Maker, images: ImageFiles, place: LabelPlace) -> RecordPass[MadeShard]:
    """The pass that makes labels of images, with records beside the folder of the labels."""
    versions = file_versions(images.paths)
    identity = identity_of(maker.declared)
    return RecordPass(
        activity="Making labels",
        folder=place.folder.parent,
        kind=MadeShard,
        items=list(images.images()),
        stamp=lambda names: hash_of(
            identity, [(name, images.digests[name], *versions[name]) for name in names]
        ),
        function=make_shard,
        arguments=lambda shard: (maker, _only(images, shard.items), place.part(shard.items)),
    )


def image_files(rows: Sequence[ImageRow]) -> ImageFiles:
    """The files of images of a project."""
    return ImageFiles(
        paths=ImagePaths({row.image_id: (row.root, row.digest) for row in rows}),
        digests={row.image_id: row.digest for row in rows},
    )


def _only(images: ImageFiles, names: Sequence[str]) -> ImageFiles:
    digests = {name: images.digests[name] for name in names}
    return replace(images, paths=chosen_paths(images.paths, names), digests=digests)
