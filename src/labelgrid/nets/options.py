"""The options of the encoder, and what options of networks share. Loads no torch."""

from dataclasses import dataclass
from typing import Literal

Where = Literal["final", "heads", "all"]


def check_rates(*rates: float) -> None:
    """Refuse dropout rates outside [0, 1)."""
    for rate in rates:
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate lies between 0 and 1, 1 excluded; it is {rate}")


@dataclass(frozen=True)
class BackboneOptions:
    """The encoder.

    Args:
        name: of a timm model; the papers' HRNet-18 is `hrnet_w18_small_v2`.
        pretrained: fetch timm's ImageNet weights; a local file goes beside the recipe, as `weights`.
        fused: channels of the fused map; 0 keeps the sum of the scales' channels, as the papers do.
    """

    name: str = "hrnet_w18_small_v2"
    pretrained: bool = True
    fused: int = 0
