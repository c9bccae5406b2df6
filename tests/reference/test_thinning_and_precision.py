"""Metrics beside scikit-learn and scikit-image alone; `test_metric_agreement` has torchmetrics, too."""

import numpy as np
import pytest
import torch
from skimage.morphology import skeletonize, thin
from sklearn.metrics import average_precision_score

from labelgrid.pixel.metrics import EdgeMetric
from labelgrid.pixel.thinning import thin as our_thin
from tests.reference.drawn_labels import (
    DRAWS,
    HEIGHT,
    IMAGES,
    WIDTH,
    blurred,
    kept,
    masked,
    uniform,
    values,
)


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_average_precision_depends_on_the_order_alone_however_sure_the_network_is(
    scale: float,
) -> None:
    target = masked((uniform() < 0.1).float())
    noise = torch.randn(target.value.shape, generator=DRAWS, dtype=torch.float64)
    prediction = (scale * (noise + 1.5 * target.value)).sigmoid().float()  # as networks give it
    exact = 100 * average_precision_score(kept(target.value, target), kept(prediction, target))
    assert values(EdgeMetric(), prediction, target)["AP"] == pytest.approx(exact, abs=0.1)


def test_average_precision_without_ties_is_scikit_learns() -> None:
    steps = torch.randperm(EdgeMetric.STEPS, generator=DRAWS)[: IMAGES * HEIGHT * WIDTH]
    logits = EdgeMetric.LIMIT * (2 * (steps.double() + 0.5) / EdgeMetric.STEPS - 1)
    prediction = logits.sigmoid().view(IMAGES, 1, HEIGHT, WIDTH)
    target = masked((uniform() < prediction**2).float())
    wanted = average_precision_score(kept(target.value, target), kept(prediction, target))
    assert values(EdgeMetric(), prediction, target)["AP"] == pytest.approx(100 * wanted, rel=1e-9)


def test_thinning_is_scikit_images_thin_and_not_its_skeletonize() -> None:
    masks = np.stack([blurred(level) for level in np.linspace(0.05, 0.95, 19)])
    found = our_thin(masks)
    assert np.array_equal(found, np.stack([thin(mask) for mask in masks]))
    assert not np.array_equal(found, np.stack([skeletonize(mask) for mask in masks]))
