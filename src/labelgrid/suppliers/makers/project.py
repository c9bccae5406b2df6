"""Predicts with another project: tasks of the same name and kind, classes of the same name.

The other project's `labelgrid predict` runs as a process; then the predictions are read.
"""

import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labelgrid.basics.errors import (
    EmptyLabelError,
    ImageError,
    ModelError,
    StorageError,
)
from labelgrid.basics.files import link_or_copy
from labelgrid.basics.processes import end_with_parent, given_environment
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Texts, Values
from labelgrid.basics.words import join_names
from labelgrid.executors.command_job import python_words
from labelgrid.formats.codec import options_of
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.project.sources import ImageFiles
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.maker import LabelPlace, refuse_two_sorts, unknown_classes
from labelgrid.suppliers.model_file import UNCHANGED
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The last characters of what the process printed, for messages.
TAIL = 600


@dataclass(frozen=True)
class Options:
    """None."""


@dataclass(frozen=True, kw_only=True)
class ProjectMaker:
    """Makes labels by the predictions of a project.

    Args:
        folder: the other project's folder.
        model: the digest of the other project's newest network.
        tasks: the tasks to label, by name.
        others: the tasks of the other project, by the same names.
    """

    folder: Path
    model: str
    tasks: Mapping[str, TaskDef]
    others: Mapping[str, TaskDef]

    @property
    def files(self) -> Texts:
        """As `Maker.files`."""
        return {name: task.codec.EXTENSIONS[0] for name, task in self.tasks.items()}

    @property
    def declared(self) -> Values:
        """As `Maker.declared`."""
        given = ",".join(f"{name}={other.name}" for name, other in self.others.items())
        values: dict[str, Any] = {
            "origin": f"the labelgrid project {self.folder.name}",
            "revision": self.model,
            "settings": {
                "maker": "project",
                "project": self.folder.name,
                "tasks": given,
                "options": hash_of({name: str(task) for name, task in self.others.items()}),
            },
        }
        for name, other in self.others.items():
            if other.grows_toward_camera != self.tasks[name].grows_toward_camera:
                values["larger_is_nearer"] = other.grows_toward_camera
                values["up_to"] = "scale"
            if other.class_names:
                names = other.class_names
                values["classes"] = values.get("classes", {}) | {name: list(names)}
                unknown = unknown_classes(self.tasks[name], names)
                values["map"] = values.get("map", {}) | unknown
        return values

    def make(self, images: ImageFiles, place: LabelPlace, progress: Progress) -> Texts:
        """As `Maker.make`."""
        faults = {}
        with TemporaryDirectory(prefix="labelgrid-") as name:
            copies = Path(name, "images")
            for image_id in images.images():
                try:
                    images.image(image_id)
                    link_or_copy(images.paths[image_id], copies / image_id)
                except (ImageError, StorageError) as error:
                    faults[image_id] = error.what
            readable = [image_id for image_id in images.images() if image_id not in faults]
            predicted = Path(name, "predicted")
            if readable:
                self._predict(copies, predicted)
            whole = whole_names(readable, readable)
            for image_id in readable:
                why = self._take(predicted, image_id, whole=whole, place=place)
                faults |= {image_id: why} if why else {}
                progress.advance()
        progress.advance(len(images.images()) - len(readable))
        return faults

    def _predict(self, images: Path, out: Path) -> None:
        words = ["predict", str(self.folder), str(images), "--out", str(out)]
        done = subprocess.run(
            [*python_words(), "-m", "labelgrid", *words],
            env=given_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            preexec_fn=end_with_parent,
        )
        if done.returncode:
            raise ModelError(
                f"`labelgrid predict` of the other project ended with code {done.returncode}: "
                f"{done.stderr.strip()[-TAIL:]}",
                where=self.folder,
                next_step=f"Try `{' '.join(('labelgrid', *words[:2]))} IMAGES --out OUT`.",
                unchanged="Labels that were made are kept, and none was imported.",
            )

    def _take(
        self, predicted: Path, image_id: str, *, whole: Collection[str], place: LabelPlace
    ) -> str:
        """Write an image's predictions as labels; returns the fault if a prediction is no label."""
        for name, task in self.tasks.items():
            other = self.others[name]
            file = label_name(image_id, other.codec.EXTENSIONS[0], image_id in whole)
            path = predicted / other.name / file
            if not path.is_file():
                return f"{name}: the other project predicts nothing that a file can hold."
            try:
                label = other.read_prediction(path)
            except EmptyLabelError as error:
                return f"{name}: {error.what}"
            options = task.options
            if other.class_names:
                classes = {"classes": list(other.class_names)}
                options = options_of(task.spec.codec, classes, "classes")
            target = place.path(name, image_id, task.codec.EXTENSIONS[0])
            task.codec.write(target, label, options)
        return ""


def build(model: Path, tasks: TaskDefs, chosen: Texts, options: Options) -> ProjectMaker:
    """A maker of the labels that a project's newest network predicts."""
    del options
    with ProjectFolder.open(model, looking=True) as project:
        others = project.tasks()
        fit = newest_fit(model)
    if fit is None or fit.predictions:
        raise _refused("The other project has no trained network", model, "Train one there.")
    pairs = dict(chosen) or {name: name for name in tasks if name in others}
    common = {}
    for name, other in pairs.items():
        if name not in tasks or other not in others:
            raise _refused(f"There is no pair of tasks {name} = {other}", model, _tasks_of(others))
        if tasks[name].kind == others[other].kind and other in fit.trained:
            common[name] = others[other]
    if not common:
        raise _refused(
            "The other project has learned no task of a name and kind of this one",
            model,
            _tasks_of(others),
        )
    sorts = {}
    for name, task in common.items():
        is_same = task.grows_toward_camera == tasks[name].grows_toward_camera
        if task.spec.up_to:
            sorts[name] = None if is_same else task.grows_toward_camera
    refuse_two_sorts(sorts, model)
    return ProjectMaker(
        folder=model.absolute(),
        model=fit.model,
        tasks={name: tasks[name] for name in common},
        others=common,
    )


def _tasks_of(others: TaskDefs) -> str:
    names = join_names([f"{name} ({task.kind})" for name, task in others.items()])
    return f"Its tasks are {names}; --task TASK=OTHER names a pair."


def _refused(fault: str, where: Path, next_step: str) -> ModelError:
    return ModelError(f"{fault}.", where=where, next_step=next_step, unchanged=UNCHANGED)
