"""Changes each image's colours by operations of its own: the colour operations of RandAugment."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as colour

from labelgrid.data.batch import Batch
from labelgrid.data.data_options import DataOptions
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Term
from labelgrid.train.train_options import LEVELS


def _by_factor(change: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """Make an operation whose factor is 1 + 0.9 times the strength in -1..1."""
    return lambda image, strength: change(image, 1 + 0.9 * strength)


#: The operations on RGB images in 0..1 with a strength in -1..1, by name; those without direction
#: take its absolute.
OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "nothing": lambda image, _: image,
    "brightness": _by_factor(colour.adjust_brightness),
    "saturation": _by_factor(colour.adjust_saturation),
    "contrast": _by_factor(colour.adjust_contrast),
    "sharpness": _by_factor(colour.adjust_sharpness),
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
    """Change the colours of each image by some operations, drawn for the image.

    Each image's draws have their own stream. All operations are equally likely, and so are the
    strengths below `levels` and both directions. Nothing moves: the labels still fit.

    Args:
        images: normalised, float [b, 3, h, w].
        ids: the images' ids.
        draws: the draws of the view.
        operations: their number for each image.
        levels: the number of strengths, of 31 from none to the full one.
        mean: the mean of the normalisation, [3].
        std: the standard deviation of the normalisation, [3].

    Source: Cubuk et al. 2020 (RandAugment), without the operations that move pixels. Deviation:
    pixels keep their precision; RandAugment rounds to 8 bits.

    Example:
        >>> draws = Draws(seed=0, step=7, ids=("a",), pool=(), load=lambda ids, seed: None)
        >>> images = torch.rand(1, 3, 4, 4)
        >>> changed = change_colours(
        ...     images, ["a"], draws, 2, levels=31, mean=torch.zeros(3), std=torch.ones(3)
        ... )
        >>> changed.shape
        torch.Size([1, 3, 4, 4])
    """
    if not operations:
        return images
    mean = mean.to(images).view(3, 1, 1)
    std = std.to(images).view(3, 1, 1)
    kinds = list(OPERATIONS.values())
    changed = []
    for image, image_id in zip((images * std + mean).clamp(0, 1), ids, strict=True):
        generator = draws.generator("colours", image_id)
        for _ in range(operations):
            change = kinds[int(torch.randint(len(kinds), (), generator=generator))]
            level = int(torch.randint(levels, (), generator=generator))
            sign = 2 * int(torch.randint(2, (), generator=generator)) - 1
            image = change(image, sign * level / (LEVELS - 1)).clamp(0, 1)
        changed.append(image)
    return (torch.stack(changed) - mean) / std


class RecolouringTerm(Term):
    """The base class of terms that change the colours of normalised images.

    Args:
        operations: the number of changes to each image.
        levels: the number of their strengths, of 31.
    """

    colour_mean: Tensor
    colour_std: Tensor

    def __init__(self, operations: int, levels: int) -> None:
        super().__init__()
        self.operations = operations
        self.levels = levels
        self.register_buffer("colour_mean", torch.zeros(3))
        self.register_buffer("colour_std", torch.ones(3))

    def note_normalisation(self, options: DataOptions) -> None:
        """Note the mean and the standard deviation of the images."""
        self.colour_mean.copy_(torch.tensor(options.mean))
        self.colour_std.copy_(torch.tensor(options.std))

    def recolour(self, batch: Batch, draws: Draws) -> Batch:
        """Change the colours of the images of a batch."""
        images = change_colours(
            batch.images,
            batch.ids,
            draws,
            operations=self.operations,
            levels=self.levels,
            mean=self.colour_mean,
            std=self.colour_std,
        )
        return replace(batch, images=images)
