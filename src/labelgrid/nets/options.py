"""Defines the options of the encoder, and the check of dropout rates. Loads no torch."""

from dataclasses import dataclass
from typing import Literal

Where = Literal["final", "heads", "all"]


def check_rates(*rates: float) -> None:
    """Check that dropout rates lie in [0, 1).

    Raises:
        ValueError: one does not.
    """
    for rate in rates:
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate must be at least 0 and below 1; it is {rate}")


@dataclass(frozen=True)
class BackboneOptions:
    """The encoder.

    Args:
        name: the name of a timm model; the papers' HRNet-18 is `hrnet_w18_small_v2`.
        pretrained: start from ImageNet weights, fetched by timm or read from the settings' `weights`.
        fused: channels of the fused map; 0 keeps the sum of the scales' channels, as in the papers.
    """

    name: str = "hrnet_w18_small_v2"
    pretrained: bool = True
    fused: int = 0
