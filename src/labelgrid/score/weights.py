"""How what a statistic has trained is kept: tensors and plain values, written whole or not at all."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from labelgrid.errors import ModelError
from labelgrid.files import atomic_write, disk


def write_weights(path: Path, values: Mapping[str, Any]) -> None:
    """Write states atomically and durably.

    Raises:
        ProjectError: the disk refuses.
    """
    with disk(path), atomic_write(path, durable=True) as temporary:
        memory = io.BytesIO()  # torch would hide the disk's refusal behind an error of its own
        torch.save(dict(values), memory)
        temporary.write_bytes(memory.getbuffer())


def read_weights(path: Path) -> dict[str, Any]:
    """Read states without unpickling objects, to the CPU.

    Raises:
        ModelError: the file is damaged, or holds more than tensors and plain values.
    """
    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(
            f"The weights of a statistic cannot be read ({type(error).__name__}).",
            where=str(path),
            next_step="Remove the file and run `labelgrid score` again.",
        ) from error
    return values
