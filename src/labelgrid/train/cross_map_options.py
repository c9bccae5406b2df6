"""Defines the options of terms that map one task's maps to another task. Loads no torch."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from labelgrid.nets.encoder_options import WIDEST
from labelgrid.train.ranges import Weight


@dataclass(frozen=True, kw_only=True)
class CrossMapOptions:
    """The mappings, a network for each ordered pair of tasks, and the pairs that have one.

    Args:
        weight: of the loss, beside the weight of each target task; the papers give none.
        width: filters of the mappings' first stage; the others have 2, 4, 8 and 8 times as many. 64
            is a whole SegNet, as in MTPSL, 25 million parameters for each ordered pair; 8 or 16
            trains on a CPU.
        divide: by the number of the image's source tasks (1/|U| of MTPSL eq. 4).
        listed: only these pairs of a source and a target, such as [["depth", "normals"]]; all if
            empty.
        recompute: compute activations again for the gradients, so that memory does not grow with
            the pairs.
    """

    weight: Weight = 1.0
    width: Annotated[int, Field(ge=1, le=WIDEST // 8)] = 64
    divide: bool = True
    listed: tuple[tuple[str, str], ...] = ()
    recompute: bool = False
