"""How a training's complete state is written, so that a kill at any moment loses at most the epoch under way."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from labelgrid.errors import ModelError

FORMAT = 2


@dataclass
class Checkpoint:
    """Everything a training needs to go on bit for bit: tensors and plain values only.

    Args:
        epoch: epochs done.
        step: optimiser steps done.
        network: the network's state.
        optimiser: the optimiser's state.
        scaler: the loss scaler's, in half precision; else empty.
        parts: states of terms and balancer, by name.
        history: the log, a record an epoch.
        identity: what was trained on what, as JSON.
    """

    epoch: int
    step: int
    network: dict[str, Any]
    optimiser: dict[str, Any]
    scaler: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    history: list[dict[str, Any]]
    identity: str
    format: int = field(default=FORMAT)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write atomically: the file at `path` is the old one or the new one, never half of one.

    Raises:
        ModelError: the disk refuses.
    """
    partial = path.with_suffix(path.suffix + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(vars(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch hides the disk's refusal behind an error of its own
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__context__
        raise ModelError(
            f"The checkpoint cannot be written: {getattr(cause, 'strerror', None) or error}.",
            where=str(path),
            next_step="Free some space or mend the folder's permissions, and run the same command again.",
            unchanged="The state after the last epoch that could be written is kept.",
        ) from error


def load(path: Path) -> Checkpoint:
    """Read a checkpoint without unpickling objects.

    Raises:
        ModelError: the file is missing, damaged, of another format, or holds more than tensors and plain values.
    """
    try:
        values: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError("There is no checkpoint.", where=str(path), next_step="Run `labelgrid fit` first.") from error
    except Exception as error:  # torch raises many kinds for damaged files
        raise ModelError(
            f"The checkpoint cannot be read ({type(error).__name__}).",
            where=str(path),
            next_step="Remove it and run `labelgrid fit` again.",
        ) from error
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise ModelError(
            f"The checkpoint is not of format {FORMAT}.",
            where=str(path),
            next_step="It was made by another version of labelgrid; remove it and run `labelgrid fit` again.",
        )
    return Checkpoint(**values)


def weights_hash(weights: Mapping[str, torch.Tensor]) -> str:
    """The hash that stamps what a model made: of its weights alone, so that two equal trainings have the same.

    Example:
        >>> a, b = torch.zeros(2), torch.ones(1)
        >>> weights_hash({"a": a, "b": b}) == weights_hash({"b": b, "a": a}) != weights_hash({"a": b, "b": b})
        True
    """
    found = hashlib.blake2b(digest_size=8)
    for name in sorted(weights):
        value = weights[name].cpu()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
