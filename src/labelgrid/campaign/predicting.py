"""How a project's model is used: predictions of any images as label files, metrics on any labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid import plugins
from labelgrid.campaign.fitting import Fit, as_json, latest, measure, measure_heldout, restore
from labelgrid.campaign.prelabels import label_path, write_label
from labelgrid.campaign.project import Project
from labelgrid.data.dataset import Source
from labelgrid.errors import LabelError, ProjectError
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import Split
from labelgrid.labels.images import list_images, read_image
from labelgrid.progress import Progress
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluate import evaluate, predictions


@dataclass(frozen=True)
class Images:
    """A folder of images (or one image) as a source; labels come from another source, where given."""

    root: Path
    names: Sequence[str]
    known: Source | None = None

    @classmethod
    def of(cls, place: Path, known: Source | None = None) -> "Images":
        """The images of a folder, or the one at a path."""
        if place.is_file():
            return cls(place.parent, [place.name], known)
        return cls(place, list_images(place), known)

    def images(self) -> Sequence[str]:
        """As `Source.images`."""
        return self.names

    def image(self, name: str) -> NDArray[np.uint8]:
        """As `Source.image`."""
        return read_image(self.root / name)

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        return self.known.label(name, task) if self.known else None

    def splits(self) -> Mapping[str, Sequence[str]]:
        """None."""
        return {}

    def weight(self, name: str, task: str) -> float:
        """1."""
        return 1.0


def model_of(project: Project) -> Fit:
    """The newest training.

    Raises:
        ProjectError: there is none.
    """
    done = latest(project)
    if done is None:
        raise ProjectError(
            "There is no model yet.",
            where=str(project.folder),
            next_step=f"Run `labelgrid fit {project.folder}` first.",
        )
    return done


def folder_source(folder: Path) -> Source:
    """A folder of labels, `<task>/<image path>.<ext>`, as a source."""
    source: Source = plugins.resolve("data", "folder")(folder)
    return source


def predict(project: Project, images: Path, out: Path, known: Path | None, progress: Progress) -> int:
    """Write the predictions of all tasks for a folder of images, as label files at original size.

    Args:
        project: with a trained model.
        images: a folder or one file.
        out: files go to `out/<task>/<image path>.<ext>`.
        known: a folder of labels to feed in.
        progress: told of each batch.

    Returns:
        how many images were predicted.
    """
    crew, network = restore(project, model_of(project))
    source = Images.of(images, folder_source(known) if known else None)
    progress.start("Predicting", len(source.names), "images")
    outputs = predictions(
        network, crew.definitions, source, source.names, crew.recipe.data, known=known is not None, progress=progress
    )
    for name, raws, frame in outputs:
        for task, raw in raws.items():
            path = label_path(out, crew.definitions[task], name)
            try:
                write_label(crew.tasks[task], crew.definitions[task], raw, frame, path)
            except LabelError as error:
                progress.say(f"{task} of {name} was not written: {error.what}")
    return len(source.names)


def evaluate_split(project: Project, split: Split, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a split of the project; held-out figures are kept for the report.

    Raises:
        ProjectError: there is no model, or the split has no label.
    """
    done = model_of(project)
    crew, network = restore(project, done)
    if split == "heldout":
        measure_heldout(project, crew, network, done, progress)
    measured = measure(project, crew, network, split, progress)
    if measured is None:
        raise ProjectError(f"The {split} split has no label.", next_step=f"Import some with --split {split}.")
    return {"labels": dict(measured.labels), **as_json(measured)}


def evaluate_folder(project: Project, labels: Path, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a folder of labels: of images in `labels/images`, or of the project's own.

    Raises:
        ProjectError: there is no model, or no image has a label.
    """
    crew, network = restore(project, model_of(project))
    own = labels / "images"
    truth = folder_source(labels)
    source = Images.of(own, truth) if own.is_dir() else _Relabelled(crew.source, truth)
    names = [n for n in source.images() if any(source.label(n, task) is not None for task in crew.definitions.values())]
    if not names:
        raise ProjectError("No image has a label there.", where=str(labels), next_step="It needs TASK/IMAGE.png files.")
    recipe = crew.recipe
    measured = evaluate(
        network, crew.tasks, crew.definitions, source, names, recipe.data, recipe.objective, progress=progress
    )
    return {"labels": dict(measured.labels), **as_json(measured)}


@dataclass(frozen=True)
class _Relabelled:
    """The images of one source with the labels of another."""

    pictures: Source
    truth: Source

    def images(self) -> Sequence[str]:
        return self.pictures.images()

    def image(self, name: str) -> NDArray[np.uint8]:
        return self.pictures.image(name)

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        return self.truth.label(name, task)

    def splits(self) -> Mapping[str, Sequence[str]]:
        return {}

    def weight(self, name: str, task: str) -> float:
        return 1.0
