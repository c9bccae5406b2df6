"""Gives each task a head of parallel dilated convolutions (ASPP) on the encoder's coarsest map.

It is MTPSL's network for PASCAL, published with `[backbone] name = "resnet18"` and `output_stride =
8`. Outputs have the resolution of the coarsest map. There is one stage, so known labels have no
effect.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.segmentation.deeplabv3 import ASPP

from labelgrid.basics.config import check_ranges
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import WIDEST, DropoutOptions, Rate
from labelgrid.nets.one_stage import OneStage
from labelgrid.tasks.task import Tasks


@dataclass(frozen=True, kw_only=True)
class Options(DropoutOptions):
    """The heads; MTPSL has no channel dropout.

    Args:
        width: channels of a head; 256 in MTPSL.
        rates: dilations of the parallel convolutions; 12, 24, 36 for an output stride of 8.
        pyramid_dropout: rate of the dropout after the parallel convolutions, in training alone; 0.5
            in MTPSL.
    """

    width: int = 256
    rates: tuple[int, ...] = (12, 24, 36)
    pyramid_dropout: Rate = 0.5

    def __post_init__(self) -> None:
        check_ranges(self, width=(1, WIDEST))
        if not self.rates or not all(1 <= rate <= 1024 for rate in self.rates):
            raise ValueError(f"rates must be dilations from 1 to 1024; they are {list(self.rates)}")


class NormOfMeans(nn.BatchNorm2d):
    """Batch norm of maps [b, c, 1, 1].

    One image, which has no spread, is normalised by the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        if not self.training or len(x) > 1:
            return super().forward(x)
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class AsppHeads(OneStage):
    """Encoder, then a head for each task.

    A head is ASPP, a 3×3 convolution, batch norm, ReLU, dropout and a 1×1 convolution.
    `Features.shared` is the encoder's coarsest map.

    Source: Chen et al. 2017 (DeepLabv3); MTPSL section 4, PASCAL, and its released code.
    """

    def __init__(self, tasks: Tasks, encoder: Encoder, options: Options) -> None:
        width = options.width
        bodies = nn.ModuleDict()
        for name in tasks:
            pyramid = ASPP(encoder.channels, list(options.rates), width)
            pyramid.convs[-1][2] = NormOfMeans(width)
            pyramid.project[3] = nn.Dropout(options.pyramid_dropout)
            convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
            bodies[name] = nn.Sequential(
                pyramid, convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
        super().__init__(tasks, encoder, encoder.channels, bodies, width, options)


def build(tasks: Tasks, encoder: Callable[..., Encoder], options: Options) -> AsppHeads:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return AsppHeads(tasks, encoder(fuse="none"), options)
