"""Doubts labels without a class that earlier labels have nearly everywhere: a background left out.

Loads no torch.
"""

from collections.abc import Sequence

import numpy as np

from labelgrid.basics.words import count_text
from labelgrid.evidence.class_order import ClassMap
from labelgrid.evidence.doubts import Doubt

#: Fewer earlier labels do not say what is usual.
LEAST = 3
#: The class is in so many of the earlier labels, and has this share of their pixels.
USUAL = 0.9
SHARE = 0.1
#: So much more of the pixels must be unlabelled than before.
MORE = 0.1


def missing_rest(
    task: str, maps: Sequence[ClassMap], before: Sequence[ClassMap], names: Sequence[str]
) -> list[Doubt]:
    """The doubt about labels without a usual class, whose pixels are unlabelled.

    Example:
        >>> earlier = [np.array([[0, 0, 1]], np.int16)] * 3
        >>> bare = np.array([[-1, -1, 1]], np.int16)
        >>> missing_rest("parts", [bare], earlier, ["background", "arm"])[0].what[:59]
        "No pixel of 1 new label is 'background', which 3 of 3 earli"
    """
    if not maps or len(before) < LEAST:
        return []
    shares = np.array([_shares(class_map, len(names)) for class_map in before])
    usual = (shares[:, :-1] > 0).mean(axis=0) >= USUAL
    usual &= shares[:, :-1].mean(axis=0) >= SHARE
    new = np.array([_shares(class_map, len(names)) for class_map in maps])
    lacking = usual & (new[:, :-1].max(axis=0) == 0)
    more = new[:, -1].mean() - shares[:, -1].mean()
    if not lacking.any() or more < MORE:
        return []
    number = int(np.argmax(np.where(lacking, shares[:, :-1].mean(axis=0), -1)))
    name = names[number]
    having = int((shares[:, number] > 0).sum())
    unlabelled = new[:, -1].mean()
    statement = (
        f"No pixel of {count_text(len(maps), 'new label')} is '{name}', which {having} of "
        f"{count_text(len(before), 'earlier label')} show in {shares[:, number].mean():.0%} of "
        f"their pixels; {unlabelled:.0%} are not labelled, {unlabelled - more:.0%} before."
    )
    advice = (
        f"If what is not labelled is '{name}', repeat with --rest {name}, else with --rest ignore, "
        "for regions that a tool drew; if these labels are right, with --accept."
    )
    return [Doubt(task, statement, next_step=advice)]


def _shares(classes: ClassMap, count: int) -> list[float]:
    """The share of each class in a label, then of the pixels without a label."""
    placed = np.where(classes < 0, count, classes)
    shares: list[float] = (np.bincount(placed.ravel(), minlength=count + 1) / placed.size).tolist()
    return shares
