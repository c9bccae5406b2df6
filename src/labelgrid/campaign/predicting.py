"""How a project's model is used: predictions of any images as label files, metrics on any labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.campaign.fitting import as_json, latest, measure, measure_heldout, restore
from labelgrid.campaign.prelabels import label_path, write_label
from labelgrid.campaign.project import Project
from labelgrid.campaign.records import Fit
from labelgrid.data.folder import label_file
from labelgrid.errors import ImageError, LabelError, ProjectError
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import Split
from labelgrid.labels.images import list_images, read_image
from labelgrid.labels.naming import whole_names
from labelgrid.progress import Progress
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluate import evaluate, predictions


@dataclass(frozen=True)
class ImageFiles:
    """Images anywhere, with the labels `<task>/<image path>.<ext>` of a folder, if one is given, as a `Source`.

    Args:
        paths: image id -> file.
        labels: the folder of labels, or the folder above its `labels/`.
        whole: the images whose labels carry the image's extension.
        digests: of images whose content is known.
    """

    paths: Mapping[str, Path]
    labels: Path | None = None
    whole: frozenset[str] = field(default=frozenset(), repr=False)
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, place: Path, labels: Path | None = None) -> "ImageFiles":
        """The images of a folder, or the one image at a path.

        Raises:
            ImageError: there is none. LabelError: there is no such folder of labels.
        """
        if not place.exists():
            raise ImageError("There is no such image or folder.", where=str(place), next_step="Check the path.")
        names = {place.name: place} if place.is_file() else {name: place / name for name in list_images(place)}
        return cls(names, _labels(labels) if labels else None, whole_names(names, names))

    def images(self) -> Sequence[str]:
        """As `Source.images`."""
        return list(self.paths)

    def image(self, name: str) -> NDArray[np.uint8]:
        """As `Source.image`."""
        return read_image(self.paths[name], self.digests.get(name, ""))

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        path = label_file(self.labels / task.name, name, task, self.whole) if self.labels else None
        return task.read(path) if path else None

    def splits(self) -> Mapping[str, Sequence[str]]:
        """None."""
        return {}

    def weight(self, name: str, task: str) -> float:
        """1."""
        return 1.0


def _labels(folder: Path) -> Path:
    if not folder.is_dir():
        raise LabelError("There is no such folder of labels.", where=str(folder), next_step="Check the path.")
    return folder / "labels" if (folder / "labels").is_dir() else folder


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


def predict(project: Project, images: Path, out: Path, known: Path | None, progress: Progress) -> int:
    """Write the predictions of all tasks for a folder of images, as label files at original size.

    Args:
        project: with a trained model.
        images: a folder or one file.
        out: files go to `out/<task>/<image path>.<ext>`.
        known: a folder of labels to feed in.
        progress: told of each batch.

    Returns:
        how many files were written.

    Raises:
        LabelgridError: there is no model, no image, or one that cannot be read.
    """
    done, source = model_of(project), ImageFiles.of(images, known)
    crew, network = restore(project, done)
    names, data, written = list(source.images()), crew.recipe.data, 0
    progress.start("Predicting", len(names), "images")
    fed, whole = known is not None, whole_names(names, names)
    for name, raws, frame in predictions(network, crew.definitions, source, names, data, known=fed, progress=progress):
        for task, raw in raws.items():
            path = label_path(out, crew.definitions[task], name, name in whole)
            try:
                write_label(crew.tasks[task], crew.definitions[task], raw, frame, path)
                written += 1
            except LabelError as error:
                if isinstance(error.__cause__, OSError):  # the disk refuses: not this label's fault
                    raise
                progress.say(f"{task} of {name} was not written: {error.what}")
    return written


def evaluate_split(project: Project, split: Split, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a split of the project; held-out figures are kept for the report.

    Raises:
        ProjectError: there is no model, or the split has no label.
    """
    done = model_of(project)
    crew, network = restore(project, done)
    if split == "heldout":
        measured = measure_heldout(project, crew, network, done, progress)
    else:
        measured = measure(project, crew, network, split, progress)
    if measured is None:
        raise ProjectError(f"The {split} split has no label.", next_step="Import some first.")
    return {"labels": dict(measured.labels), **as_json(measured)}


def evaluate_folder(project: Project, labels: Path, progress: Progress) -> dict[str, Any]:
    """Measure the newest model on a folder of labels: of the images in its `images/`, or of the project's own.

    Raises:
        ProjectError: there is no model, or no image has a label. LabelError: a label cannot be read.
    """
    done = model_of(project)
    crew, network = restore(project, done)
    own = labels / "images"
    if own.is_dir():
        paths, digests = {name: own / name for name in list_images(own)}, {}
    else:
        rows = list(project.store.images())
        paths, digests = {row.name: Path(row.root) / row.name for row in rows}, {row.name: row.digest for row in rows}
    source = ImageFiles(paths, _labels(labels), whole_names(paths, paths), digests)
    tasks = crew.definitions.values()
    names = [name for name in source.images() if any(source.label(name, task) is not None for task in tasks)]
    if not names:
        raise ProjectError(
            "No image has a label there.", where=str(labels), next_step="Labels lie at TASK/IMAGE.png below it."
        )
    recipe = crew.recipe
    measured = evaluate(
        network, crew.tasks, crew.definitions, source, names, recipe.data, recipe.objective, progress=progress
    )
    return {"labels": dict(measured.labels), **as_json(measured)}
