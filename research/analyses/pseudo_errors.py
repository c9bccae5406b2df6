"""Compares the pseudo-labels of a simulated campaign with the hidden labels.

By round, task and confidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.errors import ProjectError
from labelgrid.data.batch import SoftLabel
from labelgrid.data.dataset import nonempty_label
from labelgrid.data.frame import target_of
from labelgrid.formats.codec import LabelArray
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import dataset_of
from labelgrid.tasks.task import Task, build_all
from labelgrid.train.terms.pseudo_labels import Files


@dataclass(frozen=True, kw_only=True)
class PseudoError:
    """The error of a task's pseudo-labels in a round, over the pixels of one range of confidence.

    Args:
        confidence: the lower end of the range; the upper end is that of the next one, or 1.
        pixels: that have a hidden label, too.
        error: of a class or binary task: the share of wrong pixels; of values: the mean of the
            task's `disagreement`, for depth in its unit, for normals 1 - the cosine of the angle.
            NaN without a pixel.
    """

    round: int
    task: str
    confidence: float
    pixels: int
    error: float


def pseudo_errors(project: ProjectFolder, bins: int = 10) -> list[PseudoError]:
    """The errors of all pseudo-labels that a simulated campaign has made.

    One record per round, task and range of confidence.

    Args:
        project: the folder of a run of a study.
        bins: the number of ranges of confidence, equally wide.

    Raises:
        ProjectError: the project is not a simulated campaign.
    """
    if project.settings.oracle is None:
        raise ProjectError(
            "Only a simulated campaign has hidden labels to compare pseudo-labels with.",
            where=str(project.folder),
            next_step="Name the folder of a run, such as OUT/runs/ARM-seed0.",
        )
    source = dataset_of(project.settings.oracle)
    definitions = project.tasks()
    found = []
    for folder in sorted(project.folder.glob("rounds/*/fit/terms/pseudo_labels.*/")):
        number = int(folder.parents[2].name)
        files = Files(folder)
        for name, task in build_all(definitions).items():
            totals = np.zeros(bins)
            pixels = np.zeros(bins, np.int64)
            for image in _images(files, name):
                soft = files(image, definitions[name])
                truth = nonempty_label(source, image, definitions[name])
                if soft is not None and truth is not None:
                    errors, confidence = _errors(task, soft, truth)
                    ranges = np.minimum((confidence * bins).astype(np.intp), bins - 1)
                    totals += np.bincount(ranges, errors, bins)
                    pixels += np.bincount(ranges, minlength=bins)
            means = np.where(pixels > 0, totals / np.maximum(pixels, 1), np.nan)
            found += [
                PseudoError(
                    round=number,
                    task=name,
                    confidence=i / bins,
                    pixels=int(pixels[i]),
                    error=float(means[i]),
                )
                for i in range(bins)
            ]
    return found


def _images(files: Files, task: str) -> Iterator[str]:
    """The ids of the images with a pseudo-label of a task."""
    folder = files.folder / task
    for path in sorted(folder.rglob("*.npz")):
        yield path.relative_to(folder).as_posix().removesuffix(".npz")


def _errors(
    task: Task, soft: SoftLabel, truth: LabelArray
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The errors and confidences [n] of the pixels at which both are valid."""
    both = soft.label.valid & truth.valid
    if task.probabilities:
        errors = (soft.label.value != truth.value).any(-1)
    else:
        pair = [task.as_prediction(target_of(label).safe()) for label in (soft.label, truth)]
        errors = task.disagreement(*pair)[0, 0].numpy()
    return errors[both].astype(np.float64), soft.confidence[both]
