"""Provides the pixel losses: one loss map per task, from raw outputs and partial labels.

Every function takes raw outputs [b, c, h, w] and a target of their size and returns [b, 1, h, w], 0
where the target is not valid. Invalid label values are replaced before any arithmetic, so that
garbage (including NaN) reaches neither a loss nor a gradient. Each image's losses depend on that
image alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from labelgrid.pixel.prediction import unit_vectors
from labelgrid.pixel.target import Target


def _mask(loss: Tensor, target: Target) -> Tensor:
    return torch.where(target.valid, loss, 0.0)


def cross_entropy(raw: Tensor, target: Target) -> Tensor:
    """Negative log probability of the true class, nats; raw outputs are logits [b, classes, h, w].

    If only some classes were annotated in an image, the softmax is over these; the others get no
    gradient.

    Example:
        >>> target = Target(torch.tensor([[[[1, 255]]]]), torch.tensor([[[[True, False]]]]))
        >>> cross_entropy(torch.zeros(1, 2, 1, 2), target)
        tensor([[[[0.6931, 0.0000]]]])
    """
    raw, target = target.restrict_to_annotated(raw, torch.finfo(raw.dtype).min)
    loss = F.cross_entropy(raw, target.safe()[:, 0].long(), reduction="none")
    return _mask(loss[:, None], target)


def balanced_bce(raw: Tensor, target: Target, positive: float | Tensor = 0.95) -> Tensor:
    """Binary cross entropy of logits [b, 1, h, w], with more weight on positive pixels.

    Labels of 0.5 and more are positive. Positive pixels weigh `positive`; others weigh 1 -
    `positive`.

    Source: the survey's edge loss (Vandenhende et al. 2021), positive weight 0.95 as in its code.
    """
    truth = (target.safe() >= 0.5).to(raw.dtype)
    weight = truth * positive + (1 - truth) * (1 - positive)
    loss = F.binary_cross_entropy_with_logits(raw, truth, weight, reduction="none")
    return _mask(loss, target)


def area_balanced_bce(raw: Tensor, target: Target) -> Tensor:
    """Binary cross entropy of logits [b, 1, h, w], balanced within each image.

    The weight of positives is the image's share of negatives.

    Source: the survey's saliency loss (Vandenhende et al. 2021).
    """
    # Deviates from the survey: it computes the share over the batch; here it is over each image's
    # valid pixels, so that a loss depends on one image only. In an image with a single class all
    # pixels have the weight 1/2, where the survey's formula would give a weight, and so a loss, of
    # zero.
    positives = ((target.safe() >= 0.5) & target.valid).sum((1, 2, 3), keepdim=True)
    total = target.valid.sum((1, 2, 3), keepdim=True)
    mixed = (positives > 0) & (positives < total)
    weight = torch.where(mixed, 1 - positives / total.clamp(min=1), 0.5)
    return balanced_bce(raw, target, weight.to(raw.dtype))


def absolute_error(raw: Tensor, target: Target) -> Tensor:
    """|raw - value|, averaged over the channels, in the values' unit.

    Source: the survey's depth loss (Vandenhende et al. 2021), L1 on valid pixels.
    """
    error = (raw - target.safe()).abs()
    return _mask(error.mean(1, keepdim=True), target)


def unit_vector_l1(raw: Tensor, target: Target) -> Tensor:
    """L1 distance of the normalised raw vector to the label's, averaged over the three components.

    Source: the survey's normals loss (Vandenhende et al. 2021), mean over elements rather than over
    pixels.
    """
    error = (unit_vectors(raw) - target.safe()).abs()
    return _mask(error.mean(1, keepdim=True), target)


def unit_vector_cosine(raw: Tensor, target: Target) -> Tensor:
    """1 - cosine of the angle between the raw vector and the label's.

    Source: MTAN's and MTPSL's normals loss.
    """
    cosine = (unit_vectors(raw) * target.safe()).sum(1, keepdim=True)
    return _mask(1 - cosine, target)
