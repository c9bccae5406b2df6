"""Saves and loads the trained weights of a statistic: tensors and plain values."""

import io
from pathlib import Path

import torch

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import open_regular, write_bytes
from labelgrid.basics.type_names import Json, Values


def write_weights(path: Path, values: Values) -> None:
    """Write states atomically and durably.

    Raises:
        ProjectError: the file cannot be written.
    """
    memory = io.BytesIO()  # torch would wrap an OSError of the disk in a RuntimeError
    torch.save(dict(values), memory)
    write_bytes(path, memory.getbuffer(), durable=True)


def read_weights(path: Path) -> Json:
    """Read states without unpickling objects, to the CPU.

    Raises:
        ModelError: the file is damaged, or holds more than tensors and plain values.
    """
    try:
        with open_regular(path) as file:
            values: Json = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for damaged files
        raise ModelError(
            f"The weights of a statistic cannot be read ({type(error).__name__}).",
            where=path,
            next_step="Remove the file and run `labelgrid score` again.",
        ) from error
    if not isinstance(values, dict):
        raise ModelError(
            "The file does not hold the weights of a statistic.",
            where=path,
            next_step="Remove the file and run `labelgrid score` again.",
        )
    return values
