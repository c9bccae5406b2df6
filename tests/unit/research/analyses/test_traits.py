"""Traits of images and labels: of hand-made labels, of planted noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef
from research.analyses.traits import Traits, image_noise

SEMSEG = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": ["floor", "wall", "cup"]}))
NORMALS = TaskDef.of(TaskRow("normals", "normals", 1.0, {}))


@dataclass
class Source:
    """Grey images with the given labels. Counts how often a label is read."""

    labels: Mapping[tuple[str, str], LabelArray]
    reads: int = 0

    def images(self) -> Sequence[str]:
        return sorted({image for image, _ in self.labels})

    def image(self, image_id: str) -> NDArray[np.uint8]:
        return np.full((8, 8, 3), 100, np.uint8)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        self.reads += 1
        return self.labels.get((image_id, task.name))


def of_classes(*values: int) -> LabelArray:
    """One row of classes; -1 has no label."""
    classes = np.array([values])
    return LabelArray(np.where(classes < 0, 255, classes).astype(np.uint8)[..., None], classes >= 0)


def of_normals(*vectors: tuple[float, float, float]) -> LabelArray:
    return LabelArray(np.array([vectors], np.float32), np.ones((1, len(vectors)), bool))


SOURCE = Source(
    {
        ("a", "semseg"): of_classes(0, 0, 1, -1),
        ("b", "semseg"): of_classes(2, 0, 0, 1),
        ("a", "normals"): of_normals((0, 0, 1), (0, 0, 1)),
        ("b", "normals"): of_normals((0, 0, 1), (1, 0, 0)),
        ("c", "normals"): of_normals((0, 1, 0), (0, -1, 0)),
        ("elsewhere", "semseg"): of_classes(2, 2, 2, 2),
    }
)


def test_rare_classes_are_those_with_a_small_share_of_the_pool() -> None:
    traits = Traits(
        source=SOURCE, tasks={"semseg": SEMSEG, "normals": NORMALS}, classes=frozenset({"semseg"})
    ).of(["a", "b", "c"])
    floor, wall, cup = -np.log(np.array([4, 2, 1]) / 7)
    expected = {"a": (2 * floor + wall) / 3, "b": (cup + 2 * floor + wall) / 4}
    assert traits["rare classes of semseg"] == pytest.approx(expected)


def test_the_mean_normal_is_shorter_the_more_the_normals_differ() -> None:
    traits = Traits(source=SOURCE, tasks={"normals": NORMALS}, classes=frozenset()).of(
        ["a", "b", "c"]
    )
    assert traits["the mean of normals"] == pytest.approx({"a": 1.0, "b": np.sqrt(0.5), "c": 0.0})
    assert traits["noise of the image"] == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_labels_are_read_once() -> None:
    SOURCE.reads = 0
    traits = Traits(source=SOURCE, tasks={"semseg": SEMSEG}, classes=frozenset({"semseg"}))
    first, again = traits.of(["a", "b"]), traits.of(["a", "b"])
    assert SOURCE.reads == 2 and first == again


def test_the_noise_of_an_image_is_the_deviation_of_the_noise() -> None:
    draw = np.random.default_rng(0)
    smooth = (
        np.linspace(60, 190, 200)[None, :, None]
        + np.linspace(-20, 20, 150)[:, None, None]
        + np.zeros(3)
    )
    assert image_noise(np.rint(smooth).astype(np.uint8)) < 1
    noisy = np.rint(smooth + draw.normal(0, 8, smooth.shape)).astype(np.uint8)
    assert image_noise(noisy) == pytest.approx(8, rel=0.1)
