"""Defines the options of the encoder, and types of others. Loads no torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from labelgrid.basics.config import check_ranges
from labelgrid.basics.trusted_code import is_trusted

Where = Literal["final", "heads", "all"]
#: The largest number of channels of any layer.
WIDEST = 16384
#: The stages of SegNet: MTAN's and MTPSL's `--type`.
Stages = Literal["standard", "wide", "deep"]
#: A dropout rate; `config.parse` checks its range.
Rate = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """The encoder.

    Args:
        name: the name of a timm model; the papers' HRNet-18 is `hrnet_w18_small_v2`. A name with a
            source, such as `hf-hub:OWNER/MODEL`, is used only with `--trust hf-hub`.
        pretrained: start from ImageNet weights, fetched by timm or read from the settings'
            `weights`.
        fused: channels of the fused map; 0 keeps the sum of the scales' channels, as in the papers.
        upsample: how HRNet raises coarse scales before it adds them: `"nearest"`, as in timm and in
            the training of its ImageNet weights, or `"bilinear"`, as in the survey and the papers.
            Other backbones have no such layers.
        output_stride: 8 or 16: dilated convolutions instead of strides keep the coarser scales at
            1/8 or 1/16; 0: the backbone's own strides.
        pyramid: channels of each of the four maps that are made from a vision transformer's; not
            used by others.
        train: what a training changes: the `"full"` encoder; or, if `"frozen"`, only layers beside
            timm's module, which keeps its weights and statistics. A frozen module's maps are
            rounded to half precision; checkpoints leave it to the project's folder `encoders`.
        rate: the learning rate of timm's module, times that of all other layers; has no effect on
            a frozen one.
        kept: GiB up to which a process keeps maps of a frozen module, and their images, in the
            project's folder `features`, which can be removed. Those that were unused for a day make
            room. 0: none.
    """

    name: str = "hrnet_w18_small_v2"
    pretrained: bool = True
    fused: int = 0
    upsample: Literal["nearest", "bilinear"] = "nearest"
    output_stride: Literal[0, 8, 16] = 0
    pyramid: int = 128
    train: Literal["full", "frozen"] = "full"
    rate: float = 1.0
    kept: float = 20.0

    def __post_init__(self) -> None:
        check_ranges(
            self, fused=(0, WIDEST), pyramid=(1, WIDEST), rate=(1e-6, 1e3), kept=(0, 10**6)
        )
        source, colon, _ = self.name.partition(":")
        trust = source.replace("_", "-")
        if colon and not is_trusted(trust):
            raise ValueError(
                f"the source '{source}' of a backbone is used only if you trust it; "
                f"if you know the author of the recipe, add `--trust {trust}` to the command"
            )

    def unused(self) -> list[str]:
        """The options that change nothing, newer than the rest: see `Recipe.effective`."""
        if self.train == "frozen":
            return ["rate", "kept"]
        return ["train", "rate", "kept"] if self.rate == 1 else ["train", "kept"]


@dataclass(frozen=True, kw_only=True)
class DropoutOptions:
    """The channel dropout of a network.

    Args:
        dropout: channel dropout before the last convolution of each head.
        encoder_dropout: channel dropout on the encoder's maps that the heads read.
    """

    dropout: Rate = 0.2
    encoder_dropout: Rate = 0.0


@dataclass(frozen=True, kw_only=True)
class ExchangeOptions(DropoutOptions):
    """The messages of a network whose tasks exchange some.

    Args:
        gate: the task whose features compute a message's gate: the `"target"` (PAD-Net's paper) or
            the `"source"` (public code).
        own: the input of a target's own feature: its initial `"prediction"` (the paper) or its
            initial head's `"features"` (public code).
        messages: made of initial `"predictions"`, which known labels replace (the papers); or of
            the initial heads' `"features"` (public code), where known labels have no effect.
    """

    gate: Literal["target", "source"] = "target"
    own: Literal["prediction", "features"] = "prediction"
    messages: Literal["predictions", "features"] = "predictions"
