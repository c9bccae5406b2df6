"""How a yes/no map (saliency, edges) lies in a file: a 1-bit PNG, or an 8-bit one of 0 and 255."""

from dataclasses import dataclass

EXTENSIONS = (".png",)


@dataclass(frozen=True)
class Options:
    """What a yes/no map's numbers mean.

    Args:
        one_is_positive: the files hold 0 and 1 instead of 0 and 255.
    """

    one_is_positive: bool = False
