"""Scales the values of a kind to maps for further networks, and undoes zooms and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import TensorMap


def keep_values(values: Tensor) -> Tensor:
    """Return the values without a change."""
    return values


def _ignore_zoom(values: Tensor, _zoom: Tensor) -> Tensor:
    return values


def probability_error(raw: Tensor, maps: Tensor) -> Tensor:
    """The cross entropy of the sigmoid to maps in 0..1, summed over channels.

    Args:
        raw: [b, c, h, w]; each channel has its own sigmoid.
        maps: [b, c, h, w].

    Returns:
        [b, 1, h, w].

    Example:
        >>> import torch
        >>> maps = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
        >>> probability_error(torch.zeros(1, 2, 1, 1), maps).flatten()
        tensor([1.3863])
    """
    from torch.nn import functional

    errors = functional.binary_cross_entropy_with_logits(raw, maps, reduction="none")
    return errors.sum(1, keepdim=True)


def value_error(raw: Tensor, maps: Tensor) -> Tensor:
    """The absolute error of the sigmoid to maps in 0..1, averaged over channels: [b, 1, h, w].

    Example:
        >>> import torch
        >>> value_error(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.25)).item()
        0.25
    """
    return (raw.sigmoid() - maps).abs().mean(1, keepdim=True)


def direction_error(raw: Tensor, maps: Tensor) -> Tensor:
    """1 - cosine between raw vectors and vectors after `shift_to_unit_range`: [b, 1, h, w].

    Example:
        >>> import torch
        >>> up = torch.tensor([0.0, 5.0, 0.0]).view(1, 3, 1, 1)
        >>> right = shift_to_unit_range(torch.tensor([1.0, 0.0, 0.0])).view(1, 3, 1, 1)
        >>> direction_error(up, right).item()
        1.0
    """
    from torch.nn import functional

    return 1 - functional.cosine_similarity(raw, 2 * maps - 1, 1)[:, None]


def released_probability_error(
    raw: Tensor, target: Tensor, mask: Tensor, _scaled: TensorMap
) -> Tensor:
    """As `probability_error`, summed as JTR's released code does; see `Scale.released_error`."""
    from torch.nn import functional

    errors = functional.binary_cross_entropy_with_logits(raw, target, reduction="none")
    return _over_nonzero(errors, target, mask)


def released_value_error(raw: Tensor, target: Tensor, mask: Tensor, scaled: TensorMap) -> Tensor:
    """As `value_error` of scaled values, summed as JTR's released code does.

    The sigmoid never reaches 0 or 1 there; see `Scale.released_error`.
    """
    made = 0.5 + (raw.sigmoid() - 0.5) * (1 - 1e-5)
    return _over_nonzero((made - scaled(target)).abs(), target, mask)


def released_direction_error(
    raw: Tensor, target: Tensor, mask: Tensor, _scaled: TensorMap
) -> Tensor:
    """1 - dot products with unit vectors, over the components that are not 0.

    So it is about 2/3 where all vectors agree, as in JTR's released code; see
    `Scale.released_error`.
    """
    from torch.nn import functional

    return 1 - _over_nonzero(functional.normalize(raw) * target, target, mask)


def _over_nonzero(errors: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The sum of errors [b, c, h, w] where `mask` is set, over the number of targets not 0: [b]."""
    counts = (target != 0).sum((1, 2, 3)).clamp(min=1)
    return (errors * mask).sum((1, 2, 3)) / counts


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The scaling of a kind's predictions to about 0..1, for networks that read maps of tasks.

    Args:
        scaled: predictions [b, channels, h, w], or labels in the same form -> the same shape.
        neutral: the scaled value of pixels without a label.
        zoomed: predictions and zooms [b, 1, 1, 1] -> the predictions of images that look `zoom`
            times as large.
        mirrored: predictions of mirrored images, whose pixels are in place again -> the predictions
            of the images. Raw outputs likewise: it commutes with `activate`.
        unbounded: whether predictions have a unit and no largest value, so that `scaled` depends on
            the image.
        error: raw outputs of a network that reconstructs scaled maps, and the maps -> [b, 1, h, w].
        released_error: the same as in JTR's released code: raw outputs and targets [b, c, h, w],
            a mask, bool [b, 1, h, w], and `scaled` -> [b].
    """

    scaled: TensorMap = keep_values
    neutral: float = 0.0
    zoomed: Callable[[Tensor, Tensor], Tensor] = _ignore_zoom
    mirrored: TensorMap = keep_values
    unbounded: bool = False
    error: Callable[[Tensor, Tensor], Tensor] = value_error
    released_error: Callable[[Tensor, Tensor, Tensor, TensorMap], Tensor] = released_value_error


def divide_by_maximum(values: Tensor) -> Tensor:
    """Divide values [b, c, h, w] by the largest of their image, as MTPSL's released code does.

    Gradients flow through the maximum. Values that are all negative become positive, as there.

    Example:
        >>> import torch
        >>> divide_by_maximum(torch.tensor([1.0, 4.0]).view(1, 1, 1, 2)).flatten()
        tensor([0.2500, 1.0000])
    """
    return values / (values.amax((1, 2, 3), keepdim=True) + 1e-12)


def apply_normal_cdf(values: Tensor, mean: float, deviation: float) -> Tensor:
    """Apply the distribution function of a normal distribution, as JTR's code does to depth.

    Example:
        >>> import torch
        >>> apply_normal_cdf(torch.tensor([2.0, 4.0]), 2.0, 2.0)
        tensor([0.5000, 0.8413])
    """
    import torch

    return torch.special.ndtr((values - mean) / deviation)


def shift_to_unit_range(values: Tensor) -> Tensor:
    """Move values in -1..1 to 0..1, as MTPSL's released code scales normals.

    Example:
        >>> import torch
        >>> shift_to_unit_range(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return (values + 1) / 2


def zoom_distances(values: Tensor, zoom: Tensor) -> Tensor:
    """The distances in images that look `zoom` times as large."""
    return values / zoom


def zoom_disparities(values: Tensor, zoom: Tensor) -> Tensor:
    """The disparities in images that look `zoom` times as large."""
    return values * zoom


def unmirror_vectors(values: Tensor) -> Tensor:
    """Turn vectors [b, 3, h, w] of a mirrored image to those of the image: x is negated.

    Example:
        >>> import torch
        >>> unmirror_vectors(torch.tensor([0.6, 0.0, 0.8]).view(1, 3, 1, 1)).flatten()
        tensor([-0.6000,  0.0000,  0.8000])
    """
    return values * values.new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)
