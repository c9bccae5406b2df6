"""Doubts labels of several images that are the same file. Loads no torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.project.plausibility import Doubt
from labelgrid.tasks.task import TaskDef
from labelgrid.words import count_text, join_names


def repeated_cells(
    fresh: Mapping[Cell, str], earlier: Iterable[tuple[Cell, str]]
) -> list[list[Cell]]:
    """The cells whose labels are the same file; each group has a cell of the import.

    Args:
        fresh: the cells of one task in the import, and the digests of their labels.
        earlier: the same of the project.

    Example:
        >>> earlier = [(Cell("b.jpg", "depth"), "f0")]
        >>> groups = repeated_cells({Cell("a.jpg", "depth"): "f0"}, earlier)
        >>> [[cell.image_id for cell in group] for group in groups]
        [['a.jpg', 'b.jpg']]
    """
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell, digest in fresh.items():
        groups[digest].append(cell)
    for cell, digest in earlier:
        if digest in groups:
            groups[digest].append(cell)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def shows_something(task: TaskDef, label: LabelArray) -> bool:
    """Whether a label differs between its pixels: an empty map may be right for many images."""
    outline = task.outline(label)
    return outline is not None and bool(outline.any())


def repeated_doubt(task: str, groups: Sequence[Sequence[Cell]]) -> Doubt:
    """The doubt about labels that are the same file, with the images of the first of them."""
    cells = sum(len(group) for group in groups)
    images = [cell.image_id for cell in groups[0]]
    names = join_names(images, 5)
    files = count_text(len(groups), "file was", "files were")
    such = ":" if len(groups) == 1 else ", such as one for"
    what = f"{files} used for {cells} images{such} {names}."
    notes = {}
    for image in images:
        others = join_names([other for other in images if other != image], 2)
        notes[image] = f"its label is the same file as that of {others}"
    return Doubt(task, what, notes)
