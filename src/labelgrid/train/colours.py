"""Changes the colours of a batch's images, each by operations of its own: the colour operations of RandAugment."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as colour

from labelgrid.train.draws import Draws
from labelgrid.train.options import LEVELS


def _factor(change: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """An operation of a factor: 1 + 0.9 times the strength in -1..1."""
    return lambda image, strength: change(image, 1 + 0.9 * strength)


#: The operations on RGB images in 0..1 with a strength in -1..1, by name; those without direction
#: take its absolute.
OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "nothing": lambda image, _: image,
    "brightness": _factor(colour.adjust_brightness),
    "saturation": _factor(colour.adjust_saturation),
    "contrast": _factor(colour.adjust_contrast),
    "sharpness": _factor(colour.adjust_sharpness),
    "posterise": lambda image, strength: colour.posterize(image, 8 - round(4 * abs(strength))),
    "solarise": lambda image, strength: colour.solarize(image, 1 - abs(strength)),
    "full contrast": lambda image, _: colour.autocontrast(image),
    "equal histogram": lambda image, _: colour.equalize(image),
}


def change_colours(
    images: Tensor,
    ids: Sequence[str],
    draws: Draws,
    operations: int,
    levels: int,
    mean: Tensor,
    std: Tensor,
) -> Tensor:
    """Images whose colours are changed by operations drawn for each, one after the other.

    Each image's draws have its own stream. All operations are equally likely, and so are the
    strengths below `levels`
    and both directions. Nothing moves: the labels still fit.

    Args:
        images: normalised, float [b, 3, h, w].
        ids: the images' ids.
        draws: of the view.
        operations: their number for each image.
        levels: the number of strengths, of 31 from none to the full one.
        mean: of the normalisation, [3].
        std: of the normalisation, [3].

    Source: Cubuk et al. 2020 (RandAugment), without the operations that move pixels. Deviation:
    pixels keep their precision; RandAugment rounds to 8 bits.

    Example:
        >>> draws = Draws(0, 7, ("a.jpg",), (), lambda ids, seed: None)
        >>> recoloured(torch.rand(1, 3, 4, 4), ["a.jpg"], draws, 2, 31, torch.zeros(3), torch.ones(3)).shape
        torch.Size([1, 3, 4, 4])
    """
    if not operations:
        return images
    mean, std = (values.to(images).view(3, 1, 1) for values in (mean, std))
    kinds = list(OPERATIONS.values())
    changed = []
    for image, image_id in zip((images * std + mean).clamp(0, 1), ids, strict=True):
        generator = draws.generator("colours", image_id)
        for _ in range(operations):
            kind, level, sign = (
                int(torch.randint(n, (), generator=generator)) for n in (len(kinds), levels, 2)
            )
            image = kinds[kind](image, (2 * sign - 1) * level / (LEVELS - 1)).clamp(0, 1)
        changed.append(image)
    return (torch.stack(changed) - mean) / std
