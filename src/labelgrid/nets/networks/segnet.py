"""SegNet with one head a task: all tasks share an encoder and a decoder with max-unpooling.

It is MTAN's "split", and the network of MTPSL on NYUv2 and Cityscapes. It has an encoder of its own
with random weights: `[backbone]` and `--weights` are not used. Outputs have the image's resolution.
There is one stage, so known labels have no effect.
"""

from dataclasses import dataclass
from typing import ClassVar

from labelgrid.basics.config import check_ranges
from labelgrid.nets.encoder_options import WIDEST, DropoutOptions, Stages
from labelgrid.nets.one_stage import OneStage
from labelgrid.nets.unpooling import UNPORTABLE, EncoderDecoder, heads, initialise
from labelgrid.tasks.task import Tasks


@dataclass(frozen=True, kw_only=True)
class Options(DropoutOptions):
    """The width, the stages, and dropout, of which MTAN and MTPSL have none.

    Args:
        width: filters of the first stage and of the heads; other stages have 2, 4, 8 and 8 times as
            many. 64 in MTAN; 8 or 16 trains on a CPU.
        stages: MTAN's and MTPSL's `--type`: `"wide"`: the last stage has 16 times as many filters;
            `"deep"`: each layer is two convolutions.
    """

    own_encoder: ClassVar[bool] = True
    width: int = 64
    stages: Stages = "standard"

    def __post_init__(self) -> None:
        check_ranges(self, width=(1, WIDEST // 8))


class SegNet(OneStage):
    """Encoder and decoder, then for each task a 3×3 convolution, dropout and a 1×1 convolution.

    `Features.shared` is the decoder's last map [b, width, h, w], since all tasks are predicted from
    it; the decoder therefore belongs to `encoder`. `levels` are the encoder's five pooled maps at
    1/2 to 1/32; MTPSL's regulariser compares with the deepest. The positions of the maxima stay
    inside `encoder`.

    Deviation: a dropout of 0.2 before the last convolutions, so that MC-dropout has something to
    draw; `dropout = 0` is MTAN's network.

    Source: Badrinarayanan, Kendall & Cipolla 2017 (SegNet); the baseline "split" of MTAN's public
    code, "standard" unless `stages` says otherwise; MTPSL section 4.
    """

    unportable = UNPORTABLE

    def __init__(self, tasks: Tasks, options: Options) -> None:
        width = options.width
        encoder = EncoderDecoder(width, stages=options.stages)
        super().__init__(tasks, encoder, width, heads(width, tasks), width, options)
        initialise(self)


def build(tasks: Tasks, encoder: object, options: Options) -> SegNet:
    """Build the network for these tasks; the recipe's encoder is not built."""
    return SegNet(tasks, options)
