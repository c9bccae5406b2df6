"""Finds images for measuring that look like training images, as a table and a picture.

Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelgridError, ProjectError, command
from labelgrid.basics.files import disk_errors, remove_folder, write_bytes, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, picture_of, table
from labelgrid.basics.spreadsheets import csv_text
from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    RGB,
    Layout,
    SheetRow,
    SheetTask,
    fitted_image,
    label_sheet,
)
from labelgrid.evidence.near_duplicates import (
    PASSES,
    NearDuplicates,
    Thumbnails,
    leak_warning,
    near_duplicates,
    nearest_pairs,
)
from labelgrid.executors.workplace import Workplace
from labelgrid.images.places import image_file
from labelgrid.images.thumbnails import LEAST
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import drawing_anew
from labelgrid.rounds.thumbnail_shards import ShardedThumbnails, sharded_thumbnails
from labelgrid.tasks.overview import Legend

#: The folder of the project with thumbnails, until all images are compared.
FOLDER = ".duplicates"
#: The files of the project with the result.
TABLE = "duplicates.csv"
SHEET = "duplicates.png"
#: The most images for measuring that are shown.
SHOWN = 24
NOT_READ = "No image was read."
NOT_WRITTEN = "The result of an earlier search is kept."


@dataclass(frozen=True, kw_only=True, repr=False)
class FoundDuplicates(Shown):
    """The images for measuring that look like training images.

    Args:
        pairs: each measuring image with the training image that it looks like, the most alike
            first.
        measured: the number of images for measuring that were compared.
        training: the number of training images in the comparison.
        unread: why images could not be read, by id.
        small: images that are too small to be compared.
        warning: the number of pairs, and groups that would keep pairs together; empty without
            pairs.
        table: the file with the pairs.
        sheet: a picture of the most alike pairs; None without pairs.
    """

    pairs: Sequence[NearDuplicates]
    measured: int
    training: int
    unread: Mapping[str, str]
    small: Sequence[str]
    warning: str
    table: Path
    sheet: Path | None

    def __str__(self) -> str:
        if self.pairs:
            return self.warning
        measured = count_text(self.measured, "held-out image")
        return f"None of {measured} looks like one of {self.training:,} training images."

    def _parts(self) -> Iterator[str]:
        yield table(("held out", "training", "likeness"), self.pairs)
        yield picture_of(self.sheet, "held-out images beside the training images they look like")


@dataclass(frozen=True)
class _Counted:
    """Thumbnails whose shards are counted on each pass."""

    blocks: ShardedThumbnails
    progress: Progress

    def __iter__(self) -> Iterator[Thumbnails]:
        for block in self.blocks:
            yield block
            self.progress.advance()


def find_duplicates(
    project: ProjectFolder, progress: Progress, workplace: Workplace
) -> FoundDuplicates | None:
    """Find held-out images similar to training images, such as frames of a video.

    Images are read in shards; then the thumbnails of all of them are compared in this process.

    Args:
        project: the project.
        progress: counts the images.
        workplace: where images are read, in which shards.

    Returns:
        The duplicates; None if only a share of the images was read.

    Raises:
        ProjectError: no image is for measuring or none for training, or none of these can be
            compared; the project is a run of a simulation; or shards could not be read.
    """
    rows = _images(project)
    folder = project.folder.absolute() / FOLDER
    blocks = sharded_thumbnails(rows, folder, progress, workplace)
    if blocks is None:
        return None
    unread, small = blocks.left_out()
    left_out = {*unread, *small}
    compared = [row for row in rows if row.image_id not in left_out]
    measured = set()
    for row in compared:
        if row.split != "train":
            measured.add(row.image_id)
    if not 0 < len(measured) < len(compared):
        raise _nothing_compared(project, unread)
    progress.start("Comparing images", PASSES * len(blocks.shards), "shards")
    pairs = near_duplicates(_Counted(blocks, progress), measured)
    draw = drawing_anew(rows, project.settings.seed)
    result = FoundDuplicates(
        pairs=pairs,
        measured=len(measured),
        training=len(compared) - len(measured),
        unread=unread,
        small=small,
        warning=leak_warning(pairs, rows, len(measured), draw),
        table=project.folder / TABLE,
        sheet=_write_sheet(project.folder / SHEET, pairs, rows),
    )
    write_text(result.table, csv_text(NearDuplicates._fields, [pair._asdict() for pair in pairs]))
    remove_folder(folder)
    return result


def _images(project: ProjectFolder) -> list[ImageRow]:
    if project.settings.oracle:
        raise ProjectError(
            "This project is a run of a simulation: its images are those of its data set.",
            where=project.folder,
            next_step="Use a project with images of its own.",
            unchanged=NOT_READ,
        )
    rows = list(project.store.images())
    count = sum(row.split != "train" for row in rows)
    if not count:
        raise ProjectError(
            "No image is held out: there is none for measuring that could look like another.",
            where=project.folder,
            next_step=f"`{command('add', project.folder, '--holdout', '20%')}` holds some out.",
            unchanged=NOT_READ,
        )
    if count == len(rows):
        raise ProjectError(
            "No image is for training: there is none that others could look like.",
            where=project.folder,
            next_step=f"`{command('add', project.folder, '--images', 'MORE')}` adds some.",
            unchanged=NOT_READ,
        )
    return rows


def _nothing_compared(project: ProjectFolder, unread: Mapping[str, str]) -> ProjectError:
    if not unread:
        return ProjectError(
            f"All images for measuring, or all for training, have less than {LEAST} pixels on the "
            "longer side. They are too small to be compared.",
            where=project.folder,
            unchanged=NOT_WRITTEN,
        )
    first = min(unread)
    return ProjectError(
        "No image for measuring, or none for training, can be read and is large enough to be "
        f"compared. '{first}': {unread[first]}",
        where=project.folder,
        next_step="Put them back; if the folder was moved, "
        f"`{command('add', project.folder, '--images', 'NEW-PLACE')}` finds them again.",
        unchanged=NOT_WRITTEN,
    )


def _write_sheet(
    path: Path, pairs: Sequence[NearDuplicates], rows: Sequence[ImageRow]
) -> Path | None:
    """Draw pairs of similar images; without any, remove the picture of an earlier search."""
    if not pairs:
        with disk_errors(path):
            path.unlink(missing_ok=True)
        return None
    nearest = nearest_pairs(pairs)
    shown = nearest[:SHOWN]
    names = {pair.measured for pair in shown} | {pair.training for pair in shown}
    images = {}
    for row in rows:
        if row.image_id in names:
            images[row.image_id] = row
    layout = Layout(tasks=1, rows=len(shown))
    lines = []
    for pair in shown:
        photograph = _picture(images[pair.measured], layout)
        other = _picture(images[pair.training], layout)
        note = f"{pair.likeness:.2f} alike: {pair.training}"
        lines.append(SheetRow(pair.measured, photograph, [other], note))
    count = count_text(len(nearest), "held-out image")
    title = f"{count}, each beside the training image that it looks most like"
    if len(shown) < len(nearest):
        title = f"{len(shown)} of {title}"
    head = SheetTask("training image", "", Legend())
    sheet = label_sheet(title, lines, [head], layout, stripes=False, legends=())
    write_bytes(path, sheet)
    return path


def _picture(row: ImageRow, layout: Layout) -> RGB | str:
    """An image at the size of a picture; a text if the image cannot be read any more."""
    try:
        return fitted_image(image_file(row.root, row.image_id, row.digest), layout)
    except LabelgridError as error:
        return str(error)
