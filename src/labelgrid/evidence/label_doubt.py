"""Ranks the labels of a task by how much speaks against them. Loads no torch.

A sort of evidence speaks against a label if its value is past the sort's limit and among the worst
7 % of the task's labels. The doubt of a label sums over all sorts of evidence against it. Each adds
the distance of the label's value from the values of the task's other labels, scaled to 0 to 1.
Labels of equal doubt are in the order of the mean share of labels that are better, over all sorts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.evidence.doubts import Evidence, OfLabels
from labelgrid.evidence.label_comparison import EDGES
from labelgrid.evidence.part_grid import PartBox
from labelgrid.ledger.grid import Cell

#: By sort, the value above which evidence speaks against a label. The limits of figures and models
#: depend on the task: so many interquartile ranges above the third quartile of its labels, but
#: figures are at least so far from the usual.
LIMITS = {
    "repeated file": 0.5,
    "image edges": EDGES,
    "other labels": -0.15,
    "relations": -4.0,
    "class order": 4.0,
    "parts by relation": 4.0,
    "parts by lines": 8.0,
    "parts by outlines": 12.0,
    "parts by context": 4.0,
}
FENCE = 2.0
LEAST = {"figures": 2.0}
#: A sort of evidence speaks against at most this share of a task's labels, or against two, as
#: labels are exchanged in pairs. With more, a sort that cannot tell right from wrong
#: hides the others. `benchmarks/audit.py` counts.
WORST = 0.07
#: With d interquartile ranges past the third quartile of the task's labels, evidence counts
#: (d + 1) / (d + 2); figures and relations of whole labels count d / (d + 8), since right labels
#: may be unusual, too. Of two labels that contradict each other in a part, it is known which one is
#: wrong: that counts twice.
HALF = (1.0, 2.0)
HALVES = {
    "figures": (0.0, 8.0),
    "relations": (0.0, 8.0),
    "parts by lines": (0.0, 2.0),
    "parts by outlines": (0.0, 8.0),
    "parts by context": (0.0, 8.0),
}
WEIGHTS = {"parts by relation": 2.0}
#: No range between quartiles is taken for smaller: most labels are odd in no part.
WIDTHS = {
    "parts by relation": 4.0,
    "parts by lines": 4.0,
    "parts by outlines": 2.0,
    "parts by context": 1.0,
}
#: With fewer labels of a task, a fence says nothing.
FEW = 8


@dataclass(frozen=True, kw_only=True)
class LabelDoubt:
    """The doubt of one label.

    Args:
        cell: the cell of the label.
        score: 0 if nothing does, else up to the number of sorts of evidence.
        reasons: what does, in words, the strongest first.
        others: reason -> further labels that the reason involves, if any.
        part: the part of the label that the strongest reason with a part names.
    """

    cell: Cell
    score: float
    reasons: Sequence[str]
    others: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    part: PartBox | None = None


def rank_by_doubt(cells: Sequence[Cell], sorts: Mapping[str, OfLabels]) -> list[LabelDoubt]:
    """The labels of one task, the most doubtful first.

    Example:
        >>> from labelgrid.evidence.doubts import Evidence
        >>> cells = [Cell(f"{number}.png", "depth") for number in range(10)]
        >>> edges = {cell: Evidence(-6.0, "") for cell in cells}
        >>> edges[cells[3]] = Evidence(0.2, "its outlines do not follow the image's edges")
        >>> first = rank_by_doubt(cells, {"image edges": edges})[0]
        >>> first.cell.image_id, first.score, first.reasons
        ('3.png', 1.0, ["its outlines do not follow the image's edges"])
    """
    shares = []
    total = np.zeros(len(cells))
    reasons: list[list[tuple[float, Evidence]]] = [[] for _ in cells]
    for name, by_cell in sorts.items():
        values = np.array([by_cell[cell].value if cell in by_cell else np.nan for cell in cells])
        is_known = ~np.isnan(values)
        better, tied = _shares(values)
        shares.append(better)
        against = is_known & (values > _limit(name, values[is_known]))
        worst = max(WORST, 2 / max(len(cells), 1))
        against &= better >= 1 - worst - tied - 1e-9
        strengths = _strengths(values, *HALVES.get(name, HALF), least=WIDTHS.get(name, 0.0))
        strengths *= WEIGHTS.get(name, 1.0)
        total += np.where(against, strengths, 0)
        for index in np.flatnonzero(against).tolist():
            reasons[index].append((float(strengths[index]), by_cell[cells[index]]))
    mean = np.mean(shares, 0) if shares else total
    order = np.lexsort((-mean, -total))
    doubts = []
    for index in order.tolist():
        strongest = [evidence for _, evidence in sorted(reasons[index], key=lambda item: -item[0])]
        texts = [evidence.text for evidence in strongest]
        others = {evidence.text: evidence.others for evidence in strongest if evidence.others}
        part = next((evidence.part for evidence in strongest if evidence.part), None)
        doubt = LabelDoubt(
            cell=cells[index],
            score=float(total[index]),
            reasons=texts,
            others=others,
            part=part,
        )
        doubts.append(doubt)
    return doubts


def _limit(name: str, values: Floats) -> float:
    if name in LIMITS:
        return LIMITS[name]
    if len(values) < FEW:
        return np.inf
    first, third = np.quantile(values, (0.25, 0.75))
    return max(float(third + FENCE * (third - first)), LEAST.get(name, -np.inf))


def _strengths(values: Floats, near: float, far: float, *, least: float) -> Floats:
    """How much each value says: (d + near) / (d + far) at d interquartile ranges past the quartile.

    1 where the other values are all equal; 0 where the value is not known.
    """
    known_values = values[~np.isnan(values)]
    if not len(known_values):
        return np.zeros(len(values))
    first, third = np.quantile(known_values, (0.25, 0.75))
    width = max(float(third - first), least)
    if width <= 0:
        return np.where(np.isnan(values), 0.0, 1.0)
    ranges = np.maximum(np.nan_to_num(values, nan=third) - third, 0.0) / width
    strengths = (ranges + near) / (ranges + far)
    return np.where(np.isnan(values), 0.0, strengths)


def _shares(values: Floats) -> tuple[Floats, Floats]:
    """The shares of the labels with a better value, and with an equal one.

    A label of unknown value counts as better than all others; half are better than such a label.
    Labels of equal value are all among the worst, or none is.
    """
    is_known = ~np.isnan(values)
    ordered = np.sort(values[is_known])
    below = np.searchsorted(ordered, values)
    labels = max(len(values), 1)
    better = np.where(is_known, (below + len(values) - len(ordered)) / labels, 0.5)
    equal = np.searchsorted(ordered, values, "right") - below
    return better, np.where(is_known, (equal - 1) / labels, 0)
