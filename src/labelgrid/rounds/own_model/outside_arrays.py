"""Checks the arrays of predictions that a network outside the program wrote."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from labelgrid.basics.array_types import Array, Floats
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.arrays import shape_text
from labelgrid.rounds.outside_files import Arrays
from labelgrid.tasks.task import Task, Tasks

FEATURES = "features"
#: How far from 1 the probabilities of a pixel may add up to: 40 numbers of half precision are each
#: off by 5e-4 of themselves at most.
FROM_ONE = 0.02


def shapes_of(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """The number of passes, or the length of the features, by the name of the array.

    All files must have the same.
    """
    shapes = {}
    for name, array in arrays.items():
        shapes[name] = array.shape if name == FEATURES else array.shape[:-3]
    return shapes


def expected_arrays(tasks: Tasks) -> str:
    """A sentence on what a file can hold."""
    expected = []
    for name, task in tasks.items():
        contents = CONTENT_NAMES[_is_soft(task)]
        expected.append(f"'{name}.{contents[0]}' [{task.channels}, h, w]")
    return f"A file holds floats: {join_names(expected)}; or [passes, …] of several passes."


def array_faults(arrays: Arrays, tasks: Tasks) -> Iterator[str]:
    """Yield the faults of an image's arrays, a sentence or two each."""
    if not arrays:
        yield "It holds no array."
    for name, array in arrays.items():
        fault = _array_fault(name, array, tasks)
        if fault:
            yield fault
    for task in tasks:
        yield from _pair_faults(arrays, task)


def _array_fault(name: str, array: Array, tasks: Tasks) -> str:
    task_name, _, content = name.rpartition(".")
    if array.dtype.kind != "f":
        return f"'{name}' is {shape_text(array)}; it must hold floats."
    fault = ""
    if name == FEATURES:
        if array.ndim != 1 or not array.size:
            fault = f"'{FEATURES}' are a vector [d]; these are {shape_text(array)}."
    elif task_name not in tasks or content not in CONTENTS:
        examples = [f"{other}.{CONTENT_NAMES[_is_soft(tasks[other])][0]}" for other in tasks]
        return f"No array has the name '{name}'. Names are such as {join_names(examples)}."
    else:
        fault = _shape_fault(name, array, tasks[task_name])
    if fault:
        return fault
    wrong = int(np.count_nonzero(~np.isfinite(array)))
    if wrong:
        values = count_text(wrong, "value that is", "values that are")
        return f"'{name}' has {values} NaN or infinite."
    if name == FEATURES:
        return ""
    return CONTENTS[content](name, array, tasks[task_name])


def _is_soft(task: Task) -> bool:
    return task.probabilities is not None


def _shape_fault(name: str, array: Array, task: Task) -> str:
    expected = f"[{task.channels}, h, w], or [passes, {task.channels}, h, w]"
    if array.ndim not in (3, 4) or array.shape[-3] != task.channels or not array.size:
        return f"'{name}' must be {expected}; it is {shape_text(array)}."
    content = name.rpartition(".")[2]
    fitting = CONTENT_NAMES[_is_soft(task)]
    if content not in fitting:
        return f"'{name}': predictions of {task.name} are {' or '.join(fitting)}."
    return ""


def _check_probabilities(name: str, array: Array, task: Task) -> str:
    """Probabilities are from 0 to 1; those of several classes add up to 1."""
    low = float(array.min())
    high = float(array.max())
    logits = f"If these are logits, name them '{task.name}.logits'."
    if low < 0 or high > 1:
        return f"'{name}' are from {low:.4g} to {high:.4g}, not from 0 to 1. {logits}"
    sums = _sums(array)
    if task.channels > 1 and np.abs(sums - 1).max() > FROM_ONE:
        return (
            f"'{name}' of a pixel add up to {sums.min():.4g} to {sums.max():.4g}, not to 1. "
            f"{logits}"
        )
    return ""


def _check_logits(name: str, array: Array, task: Task) -> str:
    """Numbers from 0 to 1 with the sum 1 at every pixel are no logits."""
    within = array.min() >= 0 and 0 < array.max() <= 1
    if within and (task.channels == 1 or np.abs(_sums(array) - 1).max() <= FROM_ONE):
        return (
            f"'{name}' are all from 0 to 1, as probabilities are. If they are, name them "
            f"'{task.name}.probabilities'."
        )
    return ""


def _sums(array: Array) -> Floats:
    return array.sum(-3, dtype=np.float64)


def _check_variance(name: str, array: Array, task: Task) -> str:
    """Variances are at least 0, and are of single values."""
    if task.channels > 1:
        return (
            f"'{name}': a pixel of {task.name} has {task.channels} values, whose variances do not "
            "tell how they vary together. Write several passes."
        )
    low = float(array.min())
    if low < 0:
        return f"'{name}' has the value {low:.4g}; variances are at least 0."
    return ""


#: What an array can hold -> what else is wrong with it.
CONTENTS: Mapping[str, Callable[[str, Array, Task], str]] = {
    "probabilities": _check_probabilities,
    "logits": _check_logits,
    "values": lambda name, array, task: "",
    "variance": _check_variance,
}
#: Whether a task predicts probabilities -> what its arrays can hold.
CONTENT_NAMES = {True: ("probabilities", "logits"), False: ("values", "variance")}


def _pair_faults(arrays: Arrays, task: str) -> Iterator[str]:
    if f"{task}.logits" in arrays and f"{task}.probabilities" in arrays:
        yield f"It holds both logits and probabilities of {task}. Write one of them."
    variance = arrays.get(f"{task}.variance")
    values = arrays.get(f"{task}.values")
    if variance is not None and (values is None or variance.shape != values.shape):
        values_text = "there are none" if values is None else f"they are {shape_text(values)}"
        yield (
            f"'{task}.variance' is {shape_text(variance)}; it needs '{task}.values' of the same "
            f"shape, and {values_text}."
        )
