"""Finds and reads the prediction files of any program.

These are label files, class numbers and probabilities.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Array, Floats32
from labelgrid.basics.errors import EmptyLabelError, LabelError, ProjectError
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.data.id_splits import read_classes, replace_advice
from labelgrid.formats.arrays import one_channel, samples, shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.formats.soft import EXTENSION, read_soft
from labelgrid.project.sources import other_folders
from labelgrid.tasks.task import Task, TaskDef, TaskDefs

#: The extensions of numbers that every task accepts besides those of its label files.
NUMBERS = (".npy", ".png")


def find_predictions(
    source: Source, definitions: TaskDefs, image_ids: Sequence[str], folder: Path
) -> dict[str, dict[str, Path]]:
    """The files of predictions, by task and image, of the tasks with a folder; each label has one.

    Raises:
        ProjectError: no task has a folder, or an image with a label has no prediction.
        LabelError: two files could be the prediction of an image.
    """
    present = [task for task in definitions.values() if (folder / task.name).is_dir()]
    if not present:
        others = other_folders(folder, definitions)
        hint = f"; found: {join_names(others)}" if others else ""
        raise ProjectError(
            f"No task has a folder of predictions{hint}.",
            where=folder,
            next_step=f"Put them at TASK/IMAGE.EXT. {known_tasks_text(definitions)}",
        )
    whole = whole_names(image_ids, source.images())
    files = {}
    for task in present:
        paths = {}
        rest = []
        for image_id in image_ids:
            path = _file(folder / task.name, image_id, task, whole)
            if path:
                paths[image_id] = path
            else:
                rest.append(image_id)
        files[task.name] = paths
        missing = [name for name in rest if nonempty_label(source, name, task) is not None]
        if missing:
            expected = _names(missing[0], task, whole)
            raise _missing_predictions(folder / task.name, missing, task, expected)
    return files


def _missing_predictions(
    folder: Path, image_ids: Sequence[str], task: TaskDef, names: Sequence[str]
) -> ProjectError:
    labels = count_text(len(image_ids), "label has", "labels have")
    present = sorted(path.name for path in folder.iterdir())
    return ProjectError(
        f"{labels} no prediction of {task.name}, the first that of '{image_ids[0]}'. Expected "
        f"{join_names(names, between=' or ')}; found {join_names(present, 3) or 'no file'}.",
        where=folder,
        next_step="Add them: a mean over other images would not be comparable. Or remove the "
        "task's folder.",
    )


def known_tasks_text(definitions: TaskDefs) -> str:
    """A sentence that names the tasks."""
    return f"The tasks are {', '.join(definitions)}."


def _file(folder: Path, image_id: str, task: TaskDef, whole: Collection[str]) -> Path | None:
    """The file of a prediction, a soft one first; None without any."""
    candidates = [folder / name for name in _names(image_id, task, whole)]
    paths = [path for path in candidates if path.is_file()]
    if len(paths) > 1 and paths[0].suffix != EXTENSION:
        raise LabelError(
            f"Both '{paths[0].name}' and '{paths[1].name}' exist.",
            where=folder,
            next_step="Remove one of them.",
        )
    return paths[0] if paths else None


def _names(image_id: str, task: TaskDef, whole: Collection[str]) -> list[str]:
    extensions = dict.fromkeys((EXTENSION, *task.codec.EXTENSIONS, *NUMBERS))
    return [label_name(image_id, extension, image_id in whole) for extension in extensions]


def hard_prediction(task: Task, definition: TaskDef, path: Path, size: Size) -> LabelArray:
    """Read a prediction from a label file, or from class numbers in `.npy`.

    Returns:
        The prediction at its image's size; without any valid pixel if the file of a value has none.

    Raises:
        LabelError: it cannot be read, or has no class at any pixel.
    """
    try:
        if not hasattr(definition.options, "index"):
            return definition.read_prediction(path, size)
        advice = f"Predictions count the classes of '{task.name}' from 0, in their order."
        is_plain = getattr(definition.options, "counts_from_zero", True)
        if path.suffix == ".npy":
            void = (-1, *definition.options.ignore) if is_plain else (-1,)
            return definition.form.upsample(read_classes(path, definition, void, advice))
        if not is_plain:  # as label files, in the task's own numbers or colours
            return definition.read(path, size)
        with replace_advice(advice):
            return definition.read(path, size)
    except EmptyLabelError as error:
        if task.probabilities:
            message = "The prediction has no class at any pixel."
            raise LabelError(message, where=path) from error
        value = np.zeros((*size, task.label_channels), np.float32)
        return LabelArray(value, np.zeros(size, np.bool_))


def soft_prediction(task: Task, definition: TaskDef, path: Path) -> Tensor | None:
    """The soft prediction [channels, h, w] in a file.

    None if the file is a label file, or has one number a pixel.

    Raises:
        LabelError: it is damaged, has other channels, or a probability is not from 0 to 1.
    """
    values = _soft_values(task, path)
    if values is None:
        return None
    index = getattr(definition.options, "index", np.arange(task.channels))
    if values.ndim != 3 or len(values) not in {task.channels, len(index)}:
        raise _wrong_shape(task, values, len(index), path)
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        numbers = count_text(wrong, "number is", "numbers are")
        raise LabelError(f"{numbers} NaN or infinite.", where=path)
    if task.probabilities and not ((values >= 0) & (values <= 1)).all():
        raise LabelError(
            f"Probabilities are from 0 to 1; these are {values.min():.4g} to {values.max():.4g}.",
            where=path,
            next_step="Apply the softmax or sigmoid first; divide 8-bit numbers by 255.",
        )
    predicted = torch.from_numpy(values.astype(np.float32))
    if len(predicted) == task.channels:
        return predicted
    merged = predicted.new_zeros(task.channels, *predicted.shape[1:])
    return merged.index_add_(0, torch.from_numpy(index), predicted)


def _soft_values(task: Task, path: Path) -> Array | None:
    if path.suffix == EXTENSION:
        return read_soft(path)
    if task.probabilities is None:
        return None
    if task.channels == 1:
        return _grey(task, path)
    if path.suffix != ".npy":
        return None
    values = samples(path)
    if values.ndim == 2:
        return None
    return values


def _wrong_shape(task: Task, values: Array, classes: int, path: Path) -> LabelError:
    """The error about a soft prediction of another shape; `classes` are those before `merge`."""
    expected = f"[{task.channels}, h, w]"
    if classes != task.channels:
        expected += f", or [{classes}, h, w] before `merge`"
    next_step = ""
    if task.channels > 1:
        next_step = (
            "Write probabilities by class first, or whole numbers [h, w], the classes' from 0."
        )
    return LabelError(
        f"A soft prediction of {task.name} is {expected}; this one is {shape_text(values)}.",
        where=path,
        next_step=next_step,
    )


def _grey(task: Task, path: Path) -> Floats32:
    """The probabilities [1, h, w] in a file with one number for each pixel."""
    stored = one_channel(samples(path), path, f"A prediction of {task.name}")
    if path.suffix != ".png" or stored.dtype.kind != "u":
        return stored[None].astype(np.float32)
    certain = np.iinfo(stored.dtype).max
    if stored.max() == 1:
        raise LabelError(
            f"The largest value of this probability map is 1, where {certain} is certain.",
            where=path,
            next_step=f"Save 0 and {certain}, or floats as .npy.",
        )
    return stored[None].astype(np.float32) / np.float32(certain)
