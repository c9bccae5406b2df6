"""Measures boundary maps by matching predicted boundary pixels with true ones: odsF, oisF and average precision."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.pixel.boundaries import average_precision, boundary_counts, precision_recall_f
from labelgrid.pixel.metrics import SumMetric
from labelgrid.pixel.target import Target
from labelgrid.processes import cores
from labelgrid.results import Result

#: Bytes that the thresholded maps of all threads take at most; one thread's may take more.
MEMORY = 1 << 30
#: A thread thresholds an image at so many levels at once (`labelgrid.pixel.thinning`), one byte a
#: pixel each.
LEVELS = 64


class BoundaryMetric(SumMetric):
    """odsF, oisF and average precision of boundaries in percent, over all thresholds.

    Counts are summed over the set: odsF is the best F of one threshold for all images, oisF that of
    each image's own best threshold. Pixels that are not valid are not predicted. Uses all cores.

    Args:
        distance: between the pixels of a pair at most, as a share of the image's diagonal; usual
            are 0.0075 for PASCAL and 0.011 for NYUD.
        nms: non-maximum suppression first, as the code of later papers does; the survey's does not.
        thresholds: rising ones between 0 and 1, or their number n: 1 / (n + 1) to n / (n + 1), so
            99 are 0.01 to 0.99. The time grows with n.

    Source: Martin, Fowlkes and Malik 2004; the survey, whose matcher finds up to a few pairs fewer
    an image.

    Example:
        >>> metric = BoundaryMetric()
        >>> truth = torch.zeros(1, 1, 40, 40)
        >>> truth[..., 20, :] = 1
        >>> metric.update(0.8 * truth.roll(3, 2), Target(truth, truth >= 0))  # 3 pixels off: too far
        >>> metric.update(0.4 * truth, Target(truth, truth >= 0))
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
        super().__init__(
            4, len(self.thresholds) + 1
        )  # the last column: at each image's best threshold
        self.distance = distance
        self.nms = nms
        self.open: list[
            tuple[Tensor, Tensor]
        ] = []  # strips [b, h, w]: predictions, true boundaries

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add probabilities [b, 1, h, w]."""
        self.need_finite(prediction, target)
        valid = target.valid[:, 0]
        predicted = torch.where(valid, prediction[:, 0], 0).float().cpu()
        strip = predicted, ((target.value[:, 0] >= 0.5) & valid).cpu()
        if self.open and len(self.open[0][0]) != len(strip[0]):
            raise ValueError(
                f"{len(strip[0])} images follow {len(self.open[0][0])} unended ones; call `end_image` between."
            )
        self.open.append(strip)

    def end_image(self) -> None:
        """Add the counts of the images since the last call."""
        if not self.open:
            return
        images, truths = (torch.cat(strips, 1).numpy() for strips in zip(*self.open, strict=True))
        self.open = []
        workers = max(1, min(cores(), MEMORY // (LEVELS * images.shape[1] * images.shape[2])))
        fewest = math.ceil(
            len(self.thresholds) / LEVELS
        )  # more parts only if threads would be idle
        parts = np.array_split(
            self.thresholds, min(max(fewest, workers // len(images)), len(self.thresholds))
        )

        def count(job: tuple[int, NDArray[Any]]) -> NDArray[np.int64]:
            number, thresholds = job
            map_ = images[number].astype(np.float64)
            return boundary_counts(
                map_, [truths[number]], distance=self.distance, nms=self.nms, thresholds=thresholds
            )

        with ThreadPoolExecutor(workers) as threads:
            jobs = [(number, part) for number in range(len(images)) for part in parts]
            counted = [*threads.map(count, jobs)]
        for number in range(len(images)):
            counts = np.concatenate(
                counted[number * len(parts) : (number + 1) * len(parts)], axis=1
            )
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

    def compute(self) -> dict[str, Result]:
        """`odsF`, `oisF` and `boundary AP`; NaN for a set without a true boundary."""
        self._need_ended()
        precision, recall, f = precision_recall_f(self.sums.numpy())
        values = {
            "odsF": f[:-1].max(),
            "oisF": f[-1],
            "boundary AP": average_precision(precision[:-1], recall[:-1]),
        }
        there = self.sums[1].any() and self.sums.isfinite().all()
        return {
            name: Result(name, 100 * float(value) if there else math.nan, "%", "higher")
            for name, value in values.items()
        }

    def _need_ended(self) -> None:
        if self.open:
            raise ValueError(
                "Boundaries are matched image by image; call `end_image` after the last update."
            )
