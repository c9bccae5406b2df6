"""Evaluates prediction files from any program against labels, with the metrics by which networks are evaluated."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelgrid.data.by_id import read_classes
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.data.frame import target_of
from labelgrid.errors import LabelError, ProjectError
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.labels.formats.files import one_channel, samples, shape_text
from labelgrid.labels.naming import label_name, whole_names
from labelgrid.labels.soft import EXTENSION, read_soft
from labelgrid.pixel.metrics import Metric
from labelgrid.progress import Progress
from labelgrid.results import Result
from labelgrid.tasks.task import Task, TaskDef, build_all
from labelgrid.train.evaluate import strips
from labelgrid.words import counted, listed

#: The extensions of numbers that every task accepts besides those of its label files.
NUMBERS = (".npy", ".png")


def evaluate_files(
    source: Source, definitions: Mapping[str, TaskDef], image_ids: Sequence[str], folder: Path, progress: Progress
) -> dict[str, Any]:
    """Measure the predictions `folder/TASK/IMAGE.EXT` of the given images' labels, for the tasks with such a folder.

    A prediction is a label file (for depth `0001.npy` in metres, say), a soft prediction as `predict --soft` writes it,
    or for tasks of one probability, such as edges: grey of 8 or 16 bits, or `.npy` from 0 to 1; for classes also `.npy`
    [h, w] of their numbers, -1 for none. Where a file of depth or normals has no value, depth counts as 0, and normals
    are off by 90 degrees. Folders that are of no task are named with `Progress.say`.

    Returns:
        `labels`, the number of labels by task, and `metrics` by task and name, as JSON values.

    Raises:
        ProjectError: no task has a folder, an image with a label has no prediction, or no image has a label.
        LabelError: a prediction cannot be read, has another size than its label, or lacks a class where the label has
            one.
    """
    files = _files(source, definitions, image_ids, folder)
    if others := _others(definitions, folder):
        progress.say(f"Not measured, as no task has this name: {listed(others)}. {_tasks(definitions)}")
    tasks = build_all({name: definitions[name] for name in files})
    measures, labels = {name: task.metric() for name, task in tasks.items()}, dict.fromkeys(tasks, 0)
    progress.start("Evaluating", sum(map(len, files.values())), "predictions")
    for name, paths in files.items():
        for image_id, path in paths.items():
            label = nonempty_label(source, image_id, definitions[name])
            if label is not None:
                _add(measures[name], tasks[name], definitions[name], path, label)
                labels[name] += 1
            progress.advance()
    if not any(labels.values()):
        raise ProjectError("None of these images has a label of these tasks.", where=str(folder))
    return {"labels": labels, "metrics": plain({name: measure.compute() for name, measure in measures.items()})}


def plain(results: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """Results by task and name as JSON values."""
    return {task: {name: asdict(result) for name, result in group.items()} for task, group in results.items()}


def _files(
    source: Source, definitions: Mapping[str, TaskDef], image_ids: Sequence[str], folder: Path
) -> dict[str, dict[str, Path]]:
    """The files of predictions, by task and image, of the tasks with a folder; each label has one.

    Raises:
        ProjectError: as `evaluate_files`.
    """
    present = [task for task in definitions.values() if (folder / task.name).is_dir()]
    if not present:
        others = _others(definitions, folder)
        raise ProjectError(
            f"No task has a folder of predictions{f'; found: {listed(others)}' if others else ''}.",
            where=str(folder),
            next_step=f"Put them at TASK/IMAGE.EXT. {_tasks(definitions)}",
        )
    whole = whole_names(image_ids, source.images())
    found: dict[str, dict[str, Path]] = {}
    for task in present:
        paths = {image_id: _file(folder / task.name, image_id, task, whole) for image_id in image_ids}
        found[task.name] = {image_id: path for image_id, path in paths.items() if path}
        without = [image_id for image_id, path in paths.items() if path is None]
        missing = [image_id for image_id in without if nonempty_label(source, image_id, task) is not None]
        if missing:
            raise ProjectError(
                f"{counted(len(missing), 'label')} of {task.name} have no prediction, the first is of '{missing[0]}'.",
                where=str(folder / task.name),
                next_step="A mean over other images would not be comparable. Add them; leave out a task by its folder.",
            )
    return found


def _others(definitions: Mapping[str, TaskDef], folder: Path) -> list[str]:
    """The names of folders that are of no task."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in definitions)


def _tasks(definitions: Mapping[str, TaskDef]) -> str:
    return f"The tasks are {', '.join(definitions)}."


def _file(folder: Path, image_id: str, task: TaskDef, whole: Collection[str]) -> Path | None:
    """The file of a prediction, a soft one first; None if there is none."""
    extensions = dict.fromkeys((EXTENSION, *codec(task.spec.codec).EXTENSIONS, *NUMBERS))
    names = (label_name(image_id, extension, image_id in whole) for extension in extensions)
    return next((path for name in names if (path := folder / name).is_file()), None)


def _add(measure: Metric, task: Task, definition: TaskDef, path: Path, label: LabelArray) -> None:
    """Add one image to a metric, strip by strip."""
    soft = _soft(task, path)
    if soft is None:
        predicted = _read(definition, path)
        size, rows_of = predicted.size, partial(_hard, task, predicted)
        gaps = int((label.valid & ~predicted.valid).sum()) if size == label.size and task.probabilities else 0
        if gaps:
            raise LabelError(f"{counted(gaps, 'pixel')} of the label have no prediction.", where=str(path))
    else:
        size, rows_of = (soft.shape[1], soft.shape[2]), partial(_rows, soft)
    if size != label.size:
        raise LabelError(
            f"The prediction is {size[0]}x{size[1]}, its label {label.size[0]}x{label.size[1]}.",
            where=str(path),
            next_step="Write predictions at the size of the labels.",
        )
    with torch.inference_mode():
        for rows in strips(task.channels, *label.size):
            measure.update(rows_of(rows), target_of(label, rows))
    measure.end_image()


def _rows(prediction: Tensor, rows: slice) -> Tensor:
    return prediction[None, :, rows]


def _hard(task: Task, predicted: LabelArray, rows: slice) -> Tensor:
    return task.as_prediction(target_of(predicted, rows).safe())


def _read(definition: TaskDef, path: Path) -> LabelArray:
    """Read a prediction that is a label: its file, or class numbers in `.npy`."""
    if path.suffix == ".npy" and hasattr(definition.options, "index"):
        return definition.form.upsample(read_classes(path, definition, void=(-1, *definition.options.ignore)))
    return definition.read(path)


def _soft(task: Task, path: Path) -> Tensor | None:
    """The soft prediction [channels, h, w] in a file; None if the file is a label file, or has one number a pixel.

    Raises:
        LabelError: it is damaged, has other channels, or a probability is not from 0 to 1.
    """
    if path.suffix == EXTENSION:
        values = read_soft(path)
    elif task.probabilities is None or (task.channels > 1 and path.suffix != ".npy"):
        return None
    elif task.channels > 1:
        values = samples(path)
        if values.ndim == 2:
            return None
    else:
        stored = one_channel(samples(path), path, f"A prediction of {task.name}")
        grey = path.suffix == ".png" and stored.dtype.kind == "u"
        if grey and stored.max() == 1:
            certain = np.iinfo(stored.dtype).max
            raise LabelError(
                f"The largest value of this probability map is 1, where {certain} is certain.",
                where=str(path),
                next_step=f"Save 0 and {certain}, or floats as .npy.",
            )
        values = stored[None].astype(np.float32) / np.float32(np.iinfo(stored.dtype).max if grey else 1)
    if values.ndim != 3 or len(values) != task.channels:
        raise LabelError(
            f"A soft prediction of {task.name} is [{task.channels}, h, w]; this one is {shape_text(values)}.",
            where=str(path),
            next_step="Write probabilities by class first, or whole numbers [h, w], the classes' from 0."
            if task.channels > 1
            else "",
        )
    if not np.isfinite(values).all() or (task.probabilities is not None and not ((values >= 0) & (values <= 1)).all()):
        raise LabelError(
            f"Probabilities are from 0 to 1; these are {values.min():.4g} to {values.max():.4g}.", where=str(path)
        )
    return torch.from_numpy(values.astype(np.float32))
