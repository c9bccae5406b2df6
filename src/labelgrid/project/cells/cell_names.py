"""Finds the cells that a user names, each an image and a task as IMAGE:TASK. Loads no torch."""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.words import join_names
from labelgrid.formats.naming import stem
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.roster import is_text
from labelgrid.project.folder import ProjectFolder

#: The most images that the error about an ambiguous name lists.
SHOWN = 10


def named_cells(
    project: ProjectFolder, names: Sequence[str], *, removed: bool = False
) -> dict[str, Cell]:
    """The cells of all names that are IMAGE:TASK, also if the project lacks the cell.

    An image is named by its id, or by the end of its id from any folder on, with or without the
    extension: `0003` is room/0003.png, unless the name of another image ends so, too.

    Args:
        project: the project.
        names: what the user gave.
        removed: whether removed images may be named by the ends of their ids, too.

    Raises:
        LedgerError: several images have ids with this end; lists them.
    """
    cells = {}
    for name in names:
        image_id, _, task = name.rpartition(":")
        if image_id and is_text(name):
            cells[name] = Cell(image_id, task)
    given = {cell.image_id for cell in cells.values()}
    short = given - {row.image_id for row in project.store.images(names=given)}
    if not short:
        return cells
    image_ids = [row.image_id for row in project.store.images()]
    if removed:
        image_ids += project.store.removed("images")
    whole = _whole_ids(project, image_ids, short)
    whole_cells = {}
    for name, cell in cells.items():
        whole_cells[name] = Cell(whole.get(cell.image_id, cell.image_id), cell.task)
    return whole_cells


def _whole_ids(project: ProjectFolder, image_ids: Iterable[str], short: Set[str]) -> dict[str, str]:
    """The only id with an end, by the end; ends of no id are left out."""
    candidates_of = defaultdict[str, list[str]](list)
    for image_id in image_ids:
        for end in short & _ends(image_id):
            candidates_of[end].append(image_id)
    whole = {}
    for end, candidates in candidates_of.items():
        if end in candidates:
            candidates = [end]
        if len(candidates) > 1:
            raise LedgerError(
                f"'{end}' may be {len(candidates)} images: {join_names(candidates, SHOWN)}.",
                where=project.folder,
                next_step="Name the image with its folder.",
            )
        whole[end] = candidates[0]
    return whole


def _ends(image_id: str) -> set[str]:
    """The ends of an image's id from any folder on, with and without the extension.

    Example:
        >>> sorted(_ends("room/0003.png"))
        ['0003', '0003.png', 'room/0003', 'room/0003.png']
    """
    parts = image_id.split("/")
    ends = {"/".join(parts[first:]) for first in range(len(parts))}
    return ends | {stem(end) for end in ends}
