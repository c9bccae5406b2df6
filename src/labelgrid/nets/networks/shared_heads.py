"""Defines the plain multi-task network, the baseline: one encoder, and a head for each task.

A head is a convolution, batch norm, ReLU and a 1×1 convolution. There is one stage, so known labels
have no effect. The heads read the concatenated scales, as the survey's do; if the backbone's
`fused` is above 0, one 1×1 convolution for all tasks reduces these first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from labelgrid.basics.config import check_ranges
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import WIDEST, DropoutOptions
from labelgrid.nets.one_stage import OneStage
from labelgrid.tasks.task import Tasks


@dataclass(frozen=True)
class Options(DropoutOptions):
    """The heads; PartAL does not give the dropout.

    Args:
        width: channels of a head; 0: as many as its input has, as in the survey's HRNet head.
        kernel: kernel size of a head's first convolution; 1 in the survey, 3 in
            `small-shared-heads`.
    """

    width: int = 0
    kernel: int = 1

    def __post_init__(self) -> None:
        if self.width < 0 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(
                f"width must be at least 0 and kernel odd; they are {self.width} and {self.kernel}"
            )
        check_ranges(self, width=(0, WIDEST), kernel=(1, 63))


class SharedHeads(OneStage):
    """Encoder, then for each task a convolution, batch norm, ReLU, dropout and a 1×1 convolution.

    Source: Vandenhende et al. 2021, the multi-task baseline; MTPSL section 3.1.
    """

    def __init__(self, tasks: Tasks, encoder: Encoder, options: Options) -> None:
        width = options.width or encoder.channels
        kernel = options.kernel
        bodies = nn.ModuleDict()
        for name in tasks:
            convolution = nn.Conv2d(encoder.channels, width, kernel, padding=kernel // 2)
            bodies[name] = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        super().__init__(tasks, encoder, encoder.channels, bodies, width, options)


def build(tasks: Tasks, encoder: Callable[..., Encoder], options: Options) -> SharedHeads:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return SharedHeads(tasks, encoder(fuse="concatenated"), options)
