"""Semantic segmentation, and class maps of any sort, such as human parts.

It has one channel per class of the label files' options. The default cost is a placeholder, roughly
minutes per label; set your own costs in the project, in any unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text
from labelgrid.formats.codec import LabelArray, known_numbers
from labelgrid.tasks.agreement import class_agreement, commonest_class
from labelgrid.tasks.checks import SHOWS_SOMETHING
from labelgrid.tasks.class_colours import class_colours
from labelgrid.tasks.figures import class_details, class_heights
from labelgrid.tasks.outlines import border_outline
from labelgrid.tasks.overview import Legend, Overview, Range, percent, without_label
from labelgrid.tasks.placement import same_values
from labelgrid.tasks.scale import Scale, probability_error, released_probability_error
from labelgrid.tasks.task import Spec, Task, TaskDef

#: The number of classes, the largest ones, that the text of an overview names.
NAMED = 5


@dataclass(frozen=True)
class Overlap:
    """The options of mIoU and pixAcc.

    Args:
        absent: a class that is neither in labels nor in predictions is left out of the mean
            ("skip", as MTAN does), or counts as IoU 0 ("zero", as the survey's code does).
    """

    absent: Literal["skip", "zero"] = "skip"


class ClassOverview(Overview):
    """Class maps: the classes that occur, with shares of the labelled pixels."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.counts = np.zeros(len(options.names), np.int64)
        self.some = 0

    def add(self, image_id: str, label: LabelArray) -> None:
        """Count the pixels of each class, too."""
        super().add(image_id, label)
        classes = known_numbers(label.value[..., 0], label.valid)
        counts = np.bincount(classes, minlength=len(self.counts))
        self.counts += counts
        self.latest = counts > 0
        self.some += label.annotated is not None

    def shares(self) -> dict[str, float]:
        """The shares of the classes that occur, the largest first."""
        fractions = {}
        for index in np.argsort(-self.counts, kind="stable"):
            if self.counts[index]:
                fractions[self.options.names[index]] = float(self.counts[index] / self.valid)
        return fractions

    def text(self) -> str:
        """The number of classes that occur, and the shares of the largest."""
        fractions = self.shares()
        largest = [
            f"{name} {percent(fraction)}" for name, fraction in list(fractions.items())[:NAMED]
        ]
        if len(fractions) > NAMED:
            largest.append("…")
        return (
            f"{len(fractions)} of {len(self.counts)} classes; {', '.join(largest)}"
            f"{without_label(self)}"
        )

    def values(self) -> Json:
        """The shares of classes and of pixels without a label."""
        return {"shares": self.shares(), "not_labelled": 1 - self.share_valid}

    def names(self) -> Mapping[str, bool]:
        """All classes of the task, and whether each occurs."""
        occurs = (self.counts > 0).tolist()
        return dict(zip(self.options.names, occurs, strict=True))

    def remarks(self) -> Iterator[str]:
        """Remark a single class, and labels with a part of the classes."""
        fractions = self.shares()
        if len(fractions) == 1:
            (name,) = fractions
            yield f"all labelled pixels of the new labels are of one class, '{name}'."
        if self.some:
            labels = count_text(self.labels, "new label")
            yield f"in {self.some:,} of {labels} only some of the classes were annotated."

    def legend(self, limits: Range | None) -> Legend:
        """As `Overview.legend`: the classes that occur, the largest first."""
        del limits
        names = self.options.names
        table = self.class_colours if len(self.class_colours) else class_colours(names)
        colours = dict(zip(names, table.tolist(), strict=True))
        swatches = []
        for name in self.shares():
            red, green, blue = colours[name]
            swatches.append(((red, green, blue), name))
        return Legend(swatches=swatches)


def meaning(options: Any) -> str:
    """Describe the channels of a prediction."""
    return "the probability of each class"


def class_keys(options: Any) -> Mapping[str, int]:
    """The position of each class, also of merged classes."""
    return dict(zip(options.classes, options.index.tolist(), strict=True))


SPEC = Spec(
    kind="semseg",
    codec="classes",
    unit="%",
    cost=10.0,
    weight=1.0,
    headline="mIoU",
    meaning=meaning,
    metrics={"mIoU": Overlap},
    transform=same_values,
    render=None,
    figures=class_heights,
    fine_figures=class_details,
    outline=border_outline,
    checks=(SHOWS_SOMETHING,),
    overview=ClassOverview,
    agreement=class_agreement,
    constants=commonest_class,
    other_figures={"pixAcc": "mIoU"},
    regions="any",
    keys=class_keys,
)


def build(task: TaskDef) -> Task:
    """The functions of a class map: softmax, cross entropy, entropy of the mean, mIoU."""
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    classes = len(task.options.names)
    return Task(
        **task.plain_fields,
        channels=classes,
        label_channels=1,
        activate=prediction.class_probabilities,
        pixel_loss=losses.cross_entropy,
        as_prediction=partial(prediction.one_hot, classes=classes),
        to_target=prediction.class_target,
        moments=uncertainty.ClassMoments,
        disagreement=disagreement.class_divergence,
        other_disagreements={"js": disagreement.class_js},
        metrics=task.chosen({"mIoU": partial(metrics.SegmentationMetric, classes)}),
        probabilities=prediction.pass_through,
        largest=True,
        scale=Scale(error=probability_error, released_error=released_probability_error),
    )
