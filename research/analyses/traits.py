"""Computes numbers of images and of their hidden labels, such as rare classes and the mean depth.

Loads no torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef

#: The difference of two Laplacians: nothing of an image whose tones change linearly or by a square
#: passes it.
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(kw_only=True)
class Traits:
    """The traits of a data set's images, by name; each image is read once.

    Args:
        source: the images and their hidden labels.
        tasks: the definitions of the tasks.
        classes: the tasks whose labels are classes; the labels of the others are values.
    """

    source: Source
    tasks: Mapping[str, TaskDef]
    classes: frozenset[str]
    _noise: dict[str, float] = field(default_factory=dict)
    _labels: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)

    def of(self, pool: Iterable[str]) -> dict[str, dict[str, float]]:
        """Each trait's values by image; an image without a label of the task has none.

        For classes, "rare classes of TASK" is the mean of -log p over an image's pixels, where p is
        the share of the pixel's class in the labels of the pool. For values, "the mean of TASK" is
        the length of their mean: the mean depth; for normals 1 if all are alike.
        """
        pool = list(pool)
        traits = {"noise of the image": {image: self._noise_of(image) for image in pool}}
        for task in self.tasks:
            labels = {image: self._label_of(image, task) for image in pool}
            known = {image: label for image, label in labels.items() if label.size}
            if task in self.classes:
                traits[f"rare classes of {task}"] = _rarity(known)
            else:
                traits[f"the mean of {task}"] = {
                    image: float(np.hypot.reduce(mean)) for image, mean in known.items()
                }
        return traits

    def _noise_of(self, image: str) -> float:
        if image not in self._noise:
            self._noise[image] = image_noise(self.source.image(image))
        return self._noise[image]

    def _label_of(self, image: str, task: str) -> NDArray[np.float64]:
        """The number of pixels of each class, or the mean value; empty without a label."""
        if (image, task) not in self._labels:
            label = nonempty_label(self.source, image, self.tasks[task])
            summary = np.zeros(0)
            if label is not None:
                summary = _summary(label, task in self.classes)
            self._labels[image, task] = summary
        return self._labels[image, task]


def image_noise(image: NDArray[np.uint8]) -> float:
    """The standard deviation of the noise of an image [h, w, 3], in grey levels.

    Source: Immerkær 1996, fast noise variance estimation. Fine texture counts as noise.
    """
    response = cv2.filter2D(image.astype(np.float32), -1, _NOISE)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) * np.abs(response).mean() / 6)


def _summary(label: LabelArray, classes: bool) -> NDArray[np.float64]:
    values = label.value[label.valid]
    if classes:
        counts: NDArray[np.int64] = np.bincount(values[:, 0].astype(np.int64))
        return counts.astype(np.float64)
    means: NDArray[np.float64] = values.astype(np.float64).mean(0)
    return means


def _rarity(counts: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """The mean of -log p over each image's pixels, from the number of its pixels of each class."""
    total = np.zeros(max((len(pixels) for pixels in counts.values()), default=0))
    for pixels in counts.values():
        total[: len(pixels)] += pixels
    surprise = -np.log(np.maximum(total, 1) / max(total.sum(), 1))
    rarity = {}
    for image, pixels in counts.items():
        rarity[image] = float(pixels @ surprise[: len(pixels)] / pixels.sum())
    return rarity
