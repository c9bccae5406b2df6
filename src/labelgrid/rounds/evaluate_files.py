"""Evaluates prediction files from any program against labels, with the metrics by which networks are evaluated."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.by_id import as_defined, read_classes
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.data.frame import target_of
from labelgrid.errors import EmptyLabelError, LabelError, ProjectError
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.labels.formats.files import one_channel, samples, shape_text
from labelgrid.labels.naming import label_name, whole_names
from labelgrid.labels.soft import EXTENSION, read_soft
from labelgrid.pixel.metrics import Metric
from labelgrid.progress import Progress
from labelgrid.project.plausibility import Pair, Summary, against_units
from labelgrid.project.sources import other_folders
from labelgrid.results import Result
from labelgrid.tasks.task import Task, TaskDef, build_all
from labelgrid.train.evaluate import strips
from labelgrid.words import counted, listed

#: The extensions of numbers that every task accepts besides those of its label files.
NUMBERS = (".npy", ".png")
#: At most so many predictions of a task, the first ones, are compared with their labels to find another unit.
PAIRS = 32


def evaluate_files(
    source: Source, definitions: Mapping[str, TaskDef], image_ids: Sequence[str], folder: Path, progress: Progress
) -> dict[str, Any]:
    """Measure the predictions `folder/TASK/IMAGE.EXT` of the given images' labels, for the tasks with such a folder.

    A prediction is a label file (for depth `0001.npy` in metres, say), a soft prediction as `predict --soft` writes it,
    or for tasks of one probability, such as edges: grey of 8 or 16 bits, or `.npy` from 0 to 1; for classes also `.npy`
    [h, w] of their numbers, -1 for none. Where a file of depth or normals has no value, depth counts as 0, and normals
    are off by 90 degrees. `Progress.say` names folders that are of no task, and values that seem to have another unit.

    Returns:
        `labels`, the number of labels by task, and `metrics` by task and name, as JSON values.

    Raises:
        ProjectError: no task has a folder, an image with a label has no prediction, or no image has a label.
        LabelError: a prediction cannot be read, has another size than its label, or lacks a class where the label has
            one.
    """
    files = _files(source, definitions, image_ids, folder)
    if others := other_folders(folder, definitions):
        progress.say(f"Not measured, as no task has this name: {listed(others)}. {_tasks(definitions)}")
    tasks = build_all({name: definitions[name] for name in files})
    measures, labels = {name: task.metric() for name, task in tasks.items()}, dict.fromkeys(tasks, 0)
    progress.start("Evaluating", sum(map(len, files.values())), "predictions")
    for name, paths in files.items():
        pairs: list[Pair] = []
        for image_id, path in paths.items():
            label = nonempty_label(source, image_id, definitions[name])
            if label is not None:
                _add(measures[name], tasks[name], definitions[name], path, label, pairs)
                labels[name] += 1
            progress.advance()
        for doubt in against_units(name, pairs):
            progress.say(f"{name}: {doubt.what}")
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
        others = other_folders(folder, definitions)
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
            raise _missing(folder / task.name, missing, task, _names(missing[0], task, whole))
    return found


def _missing(folder: Path, image_ids: Sequence[str], task: TaskDef, names: Sequence[str]) -> ProjectError:
    """The error about labels without a prediction, with the names that the first one's file may have."""
    found = sorted(path.name for path in folder.iterdir())
    return ProjectError(
        f"{counted(len(image_ids), 'label has', 'labels have')} no prediction of {task.name}, the first that of "
        f"'{image_ids[0]}'. Expected {listed(names, between=' or ')}; found {listed(found, 3) or 'no file'}.",
        where=str(folder),
        next_step="Add them: a mean over other images would not be comparable. Or remove the task's folder.",
    )


def _tasks(definitions: Mapping[str, TaskDef]) -> str:
    return f"The tasks are {', '.join(definitions)}."


def _file(folder: Path, image_id: str, task: TaskDef, whole: Collection[str]) -> Path | None:
    """The file of a prediction, a soft one first; None if there is none."""
    return next((path for name in _names(image_id, task, whole) if (path := folder / name).is_file()), None)


def _names(image_id: str, task: TaskDef, whole: Collection[str]) -> list[str]:
    """The file names that an image's prediction may have."""
    extensions = dict.fromkeys((EXTENSION, *codec(task.spec.codec).EXTENSIONS, *NUMBERS))
    return [label_name(image_id, extension, image_id in whole) for extension in extensions]


def _add(measure: Metric, task: Task, definition: TaskDef, path: Path, label: LabelArray, pairs: list[Pair]) -> None:
    """Add one image to a metric, strip by strip; and its figures to `pairs`, until there are enough."""
    soft = _soft(task, path)
    if soft is None:
        predicted = _read(task, definition, path, label.size)
        if len(pairs) < PAIRS and predicted.valid.any():
            pairs.append((Summary(definition.figures(label), None), Summary(definition.figures(predicted), None)))
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


def _read(task: Task, definition: TaskDef, path: Path, size: tuple[int, int]) -> LabelArray:
    """Read a prediction that is a label: its file, or class numbers in `.npy`."""
    try:
        if not hasattr(definition.options, "index"):
            return definition.read(path)
        from_zero = f"Predictions count the classes of '{task.name}' from 0, in their order."
        if path.suffix == ".npy":
            void = (-1, *definition.options.ignore)
            return definition.form.upsample(read_classes(path, definition, void, from_zero))
        with as_defined(from_zero):
            return definition.read(path)
    except EmptyLabelError as error:
        if task.probabilities:
            raise LabelError("The prediction has no class at any pixel.", where=str(path)) from error
        return LabelArray(np.zeros((*size, task.label_channels), np.float32), np.zeros(size, np.bool_))


def _soft(task: Task, path: Path) -> Tensor | None:
    """The soft prediction [channels, h, w] in a file; None if the file is a label file, or has one number a pixel.

    Raises:
        LabelError: it is damaged, has other channels, or a probability is not from 0 to 1.
    """
    if path.suffix == EXTENSION:
        values = read_soft(path)
    elif task.probabilities is None or (task.channels > 1 and path.suffix != ".npy"):
        return None
    else:
        values = _grey(task, path) if task.channels == 1 else samples(path)
        if values.ndim == 2:
            return None
    if values.ndim != 3 or len(values) != task.channels:
        raise LabelError(
            f"A soft prediction of {task.name} is [{task.channels}, h, w]; this one is {shape_text(values)}.",
            where=str(path),
            next_step="Write probabilities by class first, or whole numbers [h, w], the classes' from 0."
            if task.channels > 1
            else "",
        )
    if wrong := int(np.count_nonzero(~np.isfinite(values))):
        raise LabelError(f"{counted(wrong, 'number is', 'numbers are')} NaN or infinite.", where=str(path))
    if task.probabilities and not ((values >= 0) & (values <= 1)).all():
        raise LabelError(
            f"Probabilities are from 0 to 1; these are {values.min():.4g} to {values.max():.4g}.",
            where=str(path),
            next_step="Apply the softmax or sigmoid first; divide 8-bit numbers by 255.",
        )
    return torch.from_numpy(values.astype(np.float32))


def _grey(task: Task, path: Path) -> NDArray[np.float32]:
    """The probabilities [1, h, w] in a file of one number a pixel."""
    stored = one_channel(samples(path), path, f"A prediction of {task.name}")
    if path.suffix != ".png" or stored.dtype.kind != "u":
        return stored[None].astype(np.float32)
    certain = np.iinfo(stored.dtype).max
    if stored.max() == 1:
        raise LabelError(
            f"The largest value of this probability map is 1, where {certain} is certain.",
            where=str(path),
            next_step=f"Save 0 and {certain}, or floats as .npy.",
        )
    return stored[None].astype(np.float32) / np.float32(certain)
