"""Says how unusual the cells of labels are beside the other labels of their images.

Loads no torch.
"""

from collections.abc import Sequence

import numpy as np

from labelgrid.basics.array_types import Floats32
from labelgrid.evidence.part_context import CellMap, Context

#: How far off numbers may be at most, in mean squares: a few cells decide nothing.
MOST = 9.0
#: Classes are surprising by how unlikely they are for cells of their class, and by so much of how
#: unlikely they are here.
HERE = 0.5


def far_values(target: CellMap, context: Context, others: Sequence[str]) -> Floats32:
    """How far numbers are from the expected ones, in mean squares less one; 0 where unknown."""
    found = np.zeros(target.value.shape[:3], np.float32)
    for some, expected in context.expected(target, others):
        found[some] = np.nan_to_num(((target.value[some] - expected) ** 2).sum(3))
    known = target.known
    usual = float(found[known].mean()) + 1e-9
    return np.where(known, np.minimum(found / usual, MOST) - 1, 0).astype(np.float32)


def unlikely_classes(target: CellMap, context: Context, others: Sequence[str]) -> Floats32:
    """How unlikely the classes of cells are, in nats; 0 where unknown.

    That of a class is compared with what it usually is where labels hold this class.
    """
    own = np.zeros(target.value.shape[:3], np.float32)
    here = np.zeros_like(own)
    for some, expected in context.expected(target, others):
        chosen = np.maximum(target.value[some], 0).astype(np.intp)
        logs = np.log(expected)
        own[some] = np.take_along_axis(logs, chosen, 3)[..., 0]
        best = logs.max(3)
        here[some] = best - own[some] - (expected * (best[..., None] - logs)).sum(3)
    known = target.known
    number = np.maximum(target.value[..., 0], 0)
    counts = np.bincount(number[known], minlength=target.classes)
    sums = np.bincount(number[known], own[known], minlength=target.classes)
    usual = (sums / np.maximum(counts, 1))[number]
    return np.where(known, usual - own + HERE * here, 0).astype(np.float32)
