"""Measures boundary maps by odsF, oisF and average precision, from matched boundary pixels."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Self

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Array, Ints
from labelgrid.basics.processes import cores
from labelgrid.basics.results import Result, Results
from labelgrid.pixel.boundaries import average_precision, boundary_counts, precision_recall_f
from labelgrid.pixel.metrics import SumMetric
from labelgrid.pixel.target import Target

#: Bytes that the thresholded maps of all threads take at most; one thread's may take more.
MEMORY = 1 << 30
#: The number of levels at which a thread thresholds an image at once (`labelgrid.pixel.thinning`);
#: each takes one byte for each pixel.
LEVELS = 64


class BoundaryMetric(SumMetric):
    """odsF, oisF and average precision of boundaries in percent, over all thresholds.

    Counts are summed over the set: odsF is the best F of one threshold for all images, and oisF is
    the F with the best threshold of each image. Pixels that are not valid are not predicted. Uses
    all cores.

    Args:
        distance: the largest distance between the pixels of a pair, as a share of the image's
            diagonal; usual are 0.0075 for PASCAL and 0.011 for NYUD.
        nms: non-maximum suppression first, as the code of later papers does; the survey's does not.
        thresholds: rising thresholds between 0 and 1, or their number n: 1 / (n + 1) to
            n / (n + 1), so 99 are 0.01 to 0.99. The time grows with n.

    Source: Martin, Fowlkes and Malik 2004; the survey, whose matcher finds up to a few pairs fewer
    for each image.

    Example:
        >>> metric = BoundaryMetric()
        >>> truth = torch.zeros(1, 1, 40, 40)
        >>> truth[..., 20, :] = 1
        >>> target = Target(truth, truth >= 0)
        >>> metric.update(0.8 * truth.roll(3, 2), target)  # 3 pixels off: too far
        >>> metric.update(0.4 * truth, target)
        >>> metric.end_image()
        >>> round(metric.compute()["odsF"].value, 1)
        50.0
    """

    def __init__(
        self, distance: float = 0.0075, nms: bool = False, thresholds: int | Sequence[float] = 99
    ) -> None:
        if isinstance(thresholds, int):
            thresholds = (np.arange(1, thresholds + 1) / (thresholds + 1)).tolist()
        self.thresholds = np.array(thresholds)
        # The last column: at each image's best threshold.
        super().__init__(4, len(self.thresholds) + 1)
        self.distance = distance
        self.nms = nms
        # Strips [b, h, w]: predictions, true boundaries.
        self.open = list[tuple[Tensor, Tensor]]()

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add probabilities [b, 1, h, w]."""
        self.need_finite(prediction, target)
        valid = target.valid[:, 0]
        predicted = torch.where(valid, prediction[:, 0], 0).float().cpu()
        truth = ((target.value[:, 0] >= 0.5) & valid).cpu()
        if self.open and len(self.open[0][0]) != len(predicted):
            raise ValueError(
                f"{len(predicted)} images follow {len(self.open[0][0])} unended ones; "
                "call `end_image` between."
            )
        self.open.append((predicted, truth))

    def end_image(self) -> None:
        """Add the counts of the images since the last call."""
        if not self.open:
            return
        images = torch.cat([prediction for prediction, _ in self.open], 1).numpy()
        truths = torch.cat([truth for _, truth in self.open], 1).numpy()
        self.open = []
        workers = max(1, min(cores(), MEMORY // (LEVELS * images.shape[1] * images.shape[2])))
        # More parts than these only if threads would be idle.
        fewest = math.ceil(len(self.thresholds) / LEVELS)
        count = min(max(fewest, workers // len(images)), len(self.thresholds))
        parts = np.array_split(self.thresholds, count)

        def count_pixels(job: tuple[int, Array]) -> Ints:
            number, thresholds = job
            return boundary_counts(
                images[number].astype(np.float64),
                [truths[number]],
                distance=self.distance,
                nms=self.nms,
                thresholds=thresholds,
            )

        jobs = list(product(range(len(images)), parts))
        with ThreadPoolExecutor(workers) as threads:
            counted = list(threads.map(count_pixels, jobs))
        for start in range(0, len(jobs), len(parts)):
            counts = np.concatenate(counted[start : start + len(parts)], axis=1)
            best = precision_recall_f(counts)[2].argmax()
            self.add(torch.from_numpy(np.column_stack([counts, counts[:, best]])))

    def merge(self, other: Self) -> None:
        """Add the other's counts; `end_image` must have been called on both."""
        for metric in (self, other):
            metric._need_ended()
        same = (self.distance, self.nms) == (other.distance, other.nms)
        if not (same and np.array_equal(self.thresholds, other.thresholds)):
            raise ValueError("Only metrics with the same options can be merged.")
        super().merge(other)

    def compute(self) -> Results:
        """`odsF`, `oisF` and `boundary AP`; NaN for a set without a true boundary."""
        self._need_ended()
        precision, recall, f = precision_recall_f(self.sums.numpy())
        values = {
            "odsF": f[:-1].max(),
            "oisF": f[-1],
            "boundary AP": average_precision(precision[:-1], recall[:-1]),
        }
        defined = self.sums[1].any() and self.sums.isfinite().all()
        results = {}
        for name, value in values.items():
            percent = 100 * float(value) if defined else math.nan
            results[name] = Result(name, percent, "%", "higher")
        return results

    def _need_ended(self) -> None:
        if self.open:
            raise ValueError(
                "Boundaries are matched image by image; call `end_image` after the last update."
            )
