"""Counts how much more the parts of labels contradict other labels of their images than usual.

Loads no torch.
"""

from collections.abc import Callable, Sequence

import numpy as np

from labelgrid.basics.array_types import Floats32
from labelgrid.evidence.part_grid import excess, unpack
from labelgrid.evidence.part_maps import STEP, UNKNOWN, PartMaps

#: Labels that are so near to what follows agree, and ones that are so far do not: 8 and 28 degrees
#: between normals, a factor of 1.15 and 1.6 between depths.
NEAR = 0.14
FAR = 0.48
#: A cell of a relation counts as so many pixels.
PIXELS = 40
#: A relation, or one label's lines beside another's, say something if usually less is off.
USUAL = 0.4


#: The excess of some maps [n, rectangles], given the least share that is expected to be bad.
Excesses = Callable[[slice, float], Floats32]


def apart_cells(texts: Sequence[str]) -> tuple[Floats32, Floats32]:
    """Of maps of distances: 1 where they are known, and how much is contradicted, from 0 to 1."""
    steps = np.stack([unpack(text, "uint8")[..., 0] for text in texts])
    known = (steps != UNKNOWN).astype(np.float32)
    apart = np.clip((steps * STEP - NEAR) / (FAR - NEAR), 0, 1) * known
    return known, apart.astype(np.float32)


def line_excesses(images: Sequence[PartMaps], one: str, other: str) -> Excesses | None:
    """How many more lines are alone in the parts of images than usual, by rectangle, both ways.

    None if most labels' lines do not follow each other either way.
    """
    ways = []
    for own, its in ((one, other), (other, one)):
        amounts = _counts([image.lines[own] for image in images])
        alone = _counts([image.alone[own][its] for image in images])
        found = excesses_of(amounts, alone)
        if found is not None:
            ways.append(found)
    if len(ways) < 2:
        return ways[0] if ways else None
    return lambda some, clean: ways[0](some, clean) + ways[1](some, clean)


def excesses_of(amounts: Floats32, bad: Floats32) -> Excesses | None:
    """The function to `excess` of some of the maps; None if much is bad in most of them."""
    totals = amounts.sum((1, 2))
    some = totals > 0
    usual = float(np.median(bad.sum((1, 2))[some] / totals[some])) if some.any() else 1.0
    if usual > USUAL:
        return None
    return lambda some, clean: excess(amounts[some], bad[some], usual, clean)


def _counts(texts: Sequence[str]) -> Floats32:
    return np.stack([unpack(text, "uint8")[..., 0] for text in texts]).astype(np.float32)
