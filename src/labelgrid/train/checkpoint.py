"""Saves and loads the complete state of a training: a kill loses at most the current epoch."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import torch

from labelgrid.basics.config import is_extension
from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import atomic_write, link_or_copy, open_regular
from labelgrid.basics.processes import stops_held
from labelgrid.basics.type_names import Json, Values
from labelgrid.nets.hashes import weights_hash
from labelgrid.train.frozen_encoder import EncoderKey, put_back, take_out
from labelgrid.train.packing import pack, unpack

FORMAT = 5
#: Formats that can be read. Format 4 held frozen encoders; format 3 kept each small tensor by
#: itself; format 2 also kept the balancer in `parts`, and had no averaged weights and no own
#: optimisers.
READABLE = (2, 3, 4, FORMAT)
#: The values that hold tensors.
STATES = ("network", "optimiser", "parts", "evaluated", "balancer", "own")
#: The types of a checkpoint's values.
TYPES: Mapping[str, type] = {
    "epoch": int,
    "step": int,
    "processes": int,
    "identity": str,
    "history": list,
    **dict.fromkeys(("scaler", "encoder", *STATES), dict),
}


@dataclass(kw_only=True)
class Checkpoint:
    """The complete state of a training, enough to resume bit for bit.

    It consists of tensors and plain values only.

    Args:
        epoch: the number of finished epochs.
        step: the number of finished optimiser steps.
        network: the network's state.
        optimiser: the optimiser's state.
        scaler: the loss scaler's state in half precision; else empty.
        parts: the states of the terms, by name.
        history: the log, one record per epoch.
        identity: the recipe, seed, tasks and data of the training, as JSON.
        evaluated: the network's state to evaluate if it is not the trained one (averaged weights);
            else empty.
        balancer: the balancer's state.
        own: the states of the terms' own optimisers, by term and name.
        processes: the number of processes that divided the batches.
        encoder: finds the frozen encoder that the file leaves out; empty: it holds everything.
    """

    epoch: int
    step: int
    network: Json
    optimiser: Json
    scaler: Json
    parts: dict[str, Json]
    history: list[Json]
    identity: str
    evaluated: Json = field(default_factory=dict)
    balancer: Json = field(default_factory=dict)
    own: dict[str, Json] = field(default_factory=dict)
    processes: int = 1
    encoder: EncoderKey = field(default_factory=dict)
    format: int = field(default=FORMAT)

    @property
    def counting(self) -> Json:
        """The network's state to evaluate."""
        return self.evaluated or self.network

    @property
    def digest(self) -> str:
        """A hash of the evaluated weights, with a frozen encoder's, and the terms' states.

        It stamps everything computed with the model.
        """
        terms = {}
        for name, state in self.parts.items():
            if state:
                terms[name] = weights_hash(dict(_tensors(state)))
        network = weights_hash(self.counting)
        if not terms:
            return network
        text = json.dumps([network, terms], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def same_training(kept: str, now: str) -> bool:
    """Whether a checkpoint is of the training that has the identity `now`.

    New options of plug-ins do not count if the checkpoint is older: their defaults change nothing,
    and other values stand in the recipe, which is compared.

    Example:
        >>> before = '{"seed": 1, "options": {"width": 8}}'
        >>> same_training(before, '{"seed": 1, "options": {"width": 8, "stride": 0}}')
        True
        >>> same_training(before, '{"seed": 2, "options": {"width": 8}}')
        False
    """
    before = json.loads(kept)
    after = json.loads(now)
    options_before = before.pop("options", {})
    options_after = after.pop("options", {})
    return bool(before == after) and is_extension(options_after, options_before)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint atomically and durably.

    Raises:
        ModelError: the file cannot be written.
    """
    states = {name: getattr(checkpoint, name) for name in STATES}
    packed, joined = pack(take_out(states, checkpoint.encoder))
    # While torch writes to a file, it loses a Ctrl-C now and then.
    with stops_held(), _in_place_of(path) as partial, partial.open("wb") as file:
        torch.save({**vars(checkpoint), **packed, "joined": joined}, file)
        file.flush()
        os.fsync(file.fileno())


def save_as(saved: Path, path: Path) -> None:
    """Give a file written by `save` a second name, as a hard link or else as a copy.

    Raises:
        ModelError: the file cannot be written.
    """
    with _in_place_of(path) as partial:
        link_or_copy(saved, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """Yield a temporary path; after the block it is renamed to `path`.

    Raises:
        ModelError: the file cannot be written.
    """
    try:
        with atomic_write(path) as partial:
            yield partial
    # torch raises a RuntimeError while it handles an OSError, or a stop by Ctrl-C or SIGTERM.
    except (OSError, RuntimeError, ValueError) as error:
        if _handles_stop(error):
            raise KeyboardInterrupt from error
        cause = error if isinstance(error, OSError) else error.__context__
        raise ModelError(
            f"The checkpoint cannot be written: {getattr(cause, 'strerror', None) or error}.",
            where=path,
            next_step="Free some space or fix the folder's permissions, "
            "and run the same command again.",
            unchanged="The checkpoint of the last epoch that could be written is kept.",
        ) from error


def _handles_stop(error: BaseException) -> bool:
    """Whether an error was raised while a stop by the user was handled."""
    handled = error.__context__
    while handled is not None:
        if isinstance(handled, KeyboardInterrupt):
            return True
        handled = handled.__context__
    return False


def load(path: Path, encoders: Path | None = None) -> Checkpoint:
    """Read a checkpoint without unpickling objects.

    Args:
        path: the checkpoint.
        encoders: the folder of frozen encoders; None: the checkpoint holds everything.

    Raises:
        ModelError: the file is missing, damaged, of another format, or holds more than tensors and
            plain values; or the file of its encoder is missing or damaged.
    """
    values = _read(path)
    with _refused(path):
        values = _in_newest_format(values)
        checkpoint = Checkpoint(**put_back(values, values.get("encoder", {}), encoders))
        _check_types(checkpoint)
    return checkpoint


def read_identity(path: Path) -> str:
    """The identity in a checkpoint, whose encoder may be missing.

    Raises:
        ModelError: as `load`.
    """
    values = _read(path)
    with _refused(path):
        if not isinstance(values["identity"], str):
            raise TypeError("identity is not of type str")
    return values["identity"]


def encoder_hash(path: Path) -> str:
    """The hash of the frozen encoder that a checkpoint leaves out; "": it is whole.

    No tensor is read.

    Raises:
        ModelError: as `load`, but for damaged tensors and the encoder's file.
    """
    values = _read(path, tensors=False)
    with _refused(path):
        return str(values.get("encoder", {}).get("hash", ""))


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        AttributeError,
        LookupError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(
            f"The checkpoint does not hold what labelgrid writes: {error}.",
            where=path,
            next_step="Remove it and run `labelgrid fit` again.",
        ) from error


def _read(path: Path, *, tensors: bool = True) -> Json:
    """The values in a file of a readable format; without `tensors`, these are not read yet."""
    try:
        with open_regular(path) as file:
            # torch writes a checksum of each tensor, and does not check it.
            with ZipFile(file) as archive:
                damaged = archive.testzip() if tensors else None
            if damaged is not None:
                raise ValueError(f"the checksum of {damaged} is wrong")
            file.seek(0)
            values: Values = torch.load(
                file if tensors else path, map_location="cpu", weights_only=True, mmap=not tensors
            )
    except FileNotFoundError as error:
        raise ModelError(
            "There is no checkpoint.", where=path, next_step="Run `labelgrid fit` first."
        ) from error
    except Exception as error:  # torch raises many types for damaged files
        raise ModelError(
            f"The checkpoint cannot be read ({type(error).__name__}).",
            where=path,
            next_step="Remove it and run `labelgrid fit` again.",
        ) from error
    number = values.get("format") if isinstance(values, Mapping) else None
    if not isinstance(number, int) or number not in READABLE:
        raise ModelError(
            f"The checkpoint is not of format {' or '.join(map(str, READABLE))}.",
            where=path,
            next_step="It was made by another version of labelgrid; "
            "remove it and run `labelgrid fit` again.",
        )
    return dict(values)


def _in_newest_format(values: Json) -> Json:
    if values["format"] >= 4:
        joined = values.pop("joined")
        states = {name: values[name] for name in STATES}
        return {**values, **unpack(states, joined), "format": FORMAT}
    if values["format"] == 2:
        values["parts"] = dict(values["parts"])
        values["balancer"] = values["parts"].pop("balancer", {})
    values["format"] = FORMAT
    return values


def _check_types(checkpoint: Checkpoint) -> None:
    for name, kind in TYPES.items():
        if not isinstance(getattr(checkpoint, name), kind):
            raise TypeError(f"{name} is not of type {kind.__name__}")
    if checkpoint.epoch < 0 or checkpoint.step < 0:
        raise ValueError("epoch and step are counts")
    if not all(isinstance(entry, dict) for entry in checkpoint.history):
        raise TypeError("history is not a list of tables")
    of_terms = [*checkpoint.parts.values(), *checkpoint.own.values()]
    if not all(isinstance(state, dict) for state in of_terms):
        raise TypeError("the states of terms are not tables")
    _check_tensors(checkpoint)


def _check_tensors(checkpoint: Checkpoint) -> None:
    tensors: list[torch.Tensor] = []
    for nested in (checkpoint.parts, checkpoint.balancer, checkpoint.own, checkpoint.optimiser):
        tensors.extend(value for _, value in _tensors(nested))
    for weights in (checkpoint.network, checkpoint.evaluated):
        if not all(isinstance(value, torch.Tensor) for value in weights.values()):
            raise TypeError("the network's state is not a table of tensors")
        tensors.extend(weights.values())
    for tensor in tensors:
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TypeError("a tensor is sparse or quantised")


def _tensors(state: Values, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in state.items():
        if not isinstance(key, str | int):
            raise TypeError("a state has keys other than names")
        if isinstance(value, Mapping):
            yield from _tensors(value, f"{prefix}{key}/")
        elif isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", value
        else:
            text = bytearray(repr(value).encode())
            yield f"{prefix}{key}", torch.frombuffer(text, dtype=torch.uint8)
