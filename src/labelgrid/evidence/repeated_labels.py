"""Doubts a label file that is delivered for several images. Loads no torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.edge_agreement import BETTER, LIMIT
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

#: Fewer images in which a tool has the same regions may look alike; a file is used by mistake.
LEAST_DRAWN = 3
#: So many images of a file are named, and compared with it.
NAMED = 5
#: What to do about such labels.
NEXT_STEP = (
    "Import a corrected file beside the answers, under a name after theirs, with --keep last. Or "
    "repeat with --accept if these labels are right, or to correct them later: `audit` shows them, "
    "and `import --replace` takes the right ones."
)


def repeated_cells(
    fresh: Mapping[Cell, str], earlier: Iterable[tuple[Cell, str]]
) -> list[list[Cell]]:
    """The cells whose labels are the same file; each group has a cell of the import.

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


def repeated_doubt(task: str, groups: Sequence[Sequence[Cell]], fits: Mapping[str, float]) -> Doubt:
    r"""The doubt about a file that is the label of several images.

    Args:
        task: the task.
        groups: the cells of each file.
        fits: image -> how well its outlines agree with the file of the first group; some, or all,
            may not be known.

    Example:
        >>> group = [Cell("a.jpg", "semseg"), Cell("b.jpg", "semseg")]
        >>> doubt = repeated_doubt("semseg", [group], {"a.jpg": 0.31, "b.jpg": 5.2})
        >>> print(doubt.what.replace(". ", ".\n"))
        1 file was used for 2 images: a.jpg, b.jpg.
        It follows the edges of b.jpg (agreement 5.2), and those of a.jpg less (0.3).
    """
    cells = sum(len(group) for group in groups)
    images = [cell.image_id for cell in groups[0]]
    names = join_names(images, NAMED)
    files = count_text(len(groups), "file was", "files were")
    such = ":" if len(groups) == 1 else ", such as one for"
    statement = f"{files} used for {cells} images{such} {names}."
    notes = {}
    for image in images:
        others = join_names([other for other in images if other != image], 2)
        notes[image] = f"its label is the same file as that of {others}"
    return Doubt(task, f"{statement}{_better_fit(fits)}", notes, next_step=NEXT_STEP)


def _better_fit(fits: Mapping[str, float]) -> str:
    best, *others = sorted(fits, key=lambda image_id: -fits[image_id]) or [""]
    if not others or fits[best] < max(LIMIT, fits[others[0]] + BETTER):
        return ""
    less = join_names([f"{image_id} less ({fits[image_id]:.1f})" for image_id in others])
    return f" It follows the edges of {best} (agreement {fits[best]:.1f}), and those of {less}."
