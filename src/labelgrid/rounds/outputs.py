"""Turns a network's raw outputs into labels and soft predictions at the image's original size.

It does so window by window.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress
from labelgrid.data.frame import Frame, interpolation_window, label_of, resize_to_original
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.soft import EXTENSION, write_soft
from labelgrid.pixel.prediction import contenders
from labelgrid.rounds.channel_blocks import class_map
from labelgrid.tasks.legend import write_coloured
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.evaluation import strips

#: The sides of a window in pixels: few channels of it fit a processor's cache, and it holds few of
#: the heads' values.
SIDE = 256


def windows(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Split an image into windows of rows and columns, each at most `SIDE` x `SIDE`."""
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            yield slice(top, min(top + SIDE, height)), slice(left, min(left + SIDE, width))


def predicted_label(task: Task, definition: TaskDef, raw: Tensor, frame: Frame) -> LabelArray:
    """A raw output as a label at the image's original size.

    Beside the label itself, memory holds one window.
    """
    with torch.inference_mode():
        if task.largest and (label := class_map(raw, frame)) is not None:
            return label
    form = definition.codec
    value = np.empty((*frame.original, task.label_channels), form.DTYPE)
    valid = np.empty(frame.original, np.bool_)
    with torch.inference_mode():
        for rows, columns in windows(*frame.original):
            part = window_label(task, raw, frame=frame, rows=rows, columns=columns)
            value[rows, columns] = part.value
            valid[rows, columns] = part.valid
    return LabelArray(value, valid)


def window_label(task: Task, raw: Tensor, frame: Frame, rows: slice, columns: slice) -> LabelArray:
    """Rows and columns of a raw output as a label.

    If the label is the index of the largest channel, only channels that can be the largest
    somewhere in the window are interpolated: with many classes most cannot.
    """
    if not task.largest:
        output = resize_to_original(raw, frame, rows, columns)[None]
        return label_of(task.to_target(task.activate(output)))
    window = interpolation_window(raw, frame, rows, columns)
    contending = contenders(window.flatten(1).T[..., None])[:, 0]
    channels = contending.nonzero().flatten()
    output = resize_to_original(raw[channels], frame, rows, columns)[None]
    label = label_of(task.to_target(output))
    return LabelArray(channels.cpu().numpy()[label.value], label.valid)


def write_label(task: Task, definition: TaskDef, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a prediction as a label file, whose classes have colours."""
    write_coloured(definition, path, predicted_label(task, definition, raw, frame))


@contextmanager
def skip_unwritable(progress: Progress, message: str) -> Iterator[None]:
    """Leave the block if a label's format cannot hold the values, and say so.

    Args:
        progress: shows the progress.
        message: the beginning of the message.

    Raises:
        LabelError: the disk reports an error, which is not specific to the label.
    """
    try:
        yield
    except LabelError as error:
        if isinstance(error.__cause__, OSError):
            raise
        progress.say(f"{message}: {error.what}")


def write_soft_prediction(task: Task, raw: Tensor, frame: Frame, path: Path) -> None:
    """Write a soft prediction beside its label file, quantised as by `formats.soft`."""
    height, width = frame.original
    parts = []
    with torch.inference_mode():
        for rows in strips(task.channels, height, width):
            output = resize_to_original(raw, frame, rows)[None]
            parts.append(task.activate(output)[0].float().cpu().numpy())
    write_soft(path.with_suffix(EXTENSION), np.concatenate(parts, 1))
