"""Labels and predictions drawn at random, and what a metric says of them at their valid pixels."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.pixel.metrics import Metric
from labelgrid.pixel.target import Target

IMAGES, HEIGHT, WIDTH = 4, 24, 32
#: Every test draws from its beginning: see `conftest.py`.
DRAWS = torch.Generator()


def uniform(channels: int = 1) -> Tensor:
    return torch.rand(IMAGES, channels, HEIGHT, WIDTH, generator=DRAWS)


def masked(truth: Tensor) -> Target:
    """Labels of which a third of the pixels is not valid."""
    return Target(truth, uniform() < 2 / 3)


def soft_and_truth(share: float = 0.3) -> tuple[Tensor, Target]:
    """Probabilities that know something of binary labels."""
    target = masked((uniform() < share).float())
    return 0.4 * target.value + 0.6 * uniform(), target


def values(metric: Metric, prediction: Tensor, target: Target) -> dict[str, float]:
    for image in range(len(prediction)):
        part = slice(image, image + 1)
        metric.update(prediction[part], target[part])
        metric.end_image()
    return {name: result.value for name, result in metric.compute().items()}


def kept(values: Tensor, target: Target, image: int | None = None) -> Tensor:
    """The values [n, channels] at the valid pixels of all images or one: what the other libraries get to see."""
    chosen = slice(None) if image is None else slice(image, image + 1)
    return values[chosen].movedim(1, -1)[target.valid[chosen, 0]]


def blurred(level: float) -> NDArray[np.bool_]:
    """A map of spots and filled regions that touch the edge of the image too."""
    noise = torch.rand(1, 1, 40, 50, generator=DRAWS)
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)[0, 0].numpy()
    return np.asarray(smooth >= np.quantile(smooth, level))
