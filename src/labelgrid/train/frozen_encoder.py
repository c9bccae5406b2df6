"""Keeps a frozen encoder once in a file: checkpoints name it, and hold only what is trained."""

import os
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import write_bytes
from labelgrid.basics.type_names import Json
from labelgrid.nets.encoder_files import encoder_file, read_encoder
from labelgrid.nets.hashes import weights_hash
from labelgrid.nets.network import Network, WithGivenPart
from labelgrid.pixel.target import Tensors

#: What finds an encoder's tensors again: the `hash` that names their file, the `prefix` of their
#: names in the network, and the `source` of the weights. Empty: there is no such file.
EncoderKey = dict[str, str]


def keep_encoder(network: Network, folder: Path | None) -> EncoderKey:
    """Write the frozen encoder of a network; a sound file that is there gets a new time.

    Args:
        network: the network.
        folder: the folder of encoders; None: checkpoints hold them.

    Raises:
        ProjectError: the file cannot be written.
    """
    encoder = network.encoder
    if folder is None or not isinstance(encoder, WithGivenPart) or not encoder.frozen:
        return {}
    state = {}
    for name, value in encoder.given.state_dict().items():
        state[name] = value.cpu().clone(memory_format=torch.contiguous_format)
    key = weights_hash(state)
    try:
        read_encoder(folder, key, encoder.source)
        with suppress(OSError):  # it belongs to somebody else
            os.utime(encoder_file(folder, key))
    except ModelError:
        write_bytes(encoder_file(folder, key), save(state), durable=True)
    return {"hash": key, "prefix": given_prefix(network), "source": encoder.source}


def given_prefix(network: Network) -> str:
    """The start of the names of a network's tensors that are given; "" without such a part."""
    encoder = network.encoder
    if not isinstance(encoder, WithGivenPart):
        return ""
    modules = network.named_modules()
    return next(f"{name}." for name, module in modules if module is encoder.given)


def has_encoder_of(network: Network, earlier: Tensors) -> bool:
    """Whether a network's given part is that of an earlier one.

    The tensors have to have the same names and shapes; those of a frozen one, the same values.

    Args:
        network: the network.
        earlier: the tensors of the earlier network.
    """
    prefix = given_prefix(network)
    if not prefix:
        return True
    new = _part(network.state_dict(), prefix)
    old = _part(earlier, prefix)
    is_frozen = isinstance(network.encoder, WithGivenPart) and network.encoder.frozen
    is_same = torch.equal if is_frozen else _has_shape_of
    return new.keys() == old.keys() and all(is_same(new[name], old[name]) for name in new)


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name: value for name, value in tensors.items() if name.startswith(prefix)}


def _has_shape_of(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape


def take_out(states: Json, key: EncoderKey) -> Json:
    """The states of a checkpoint, with None in place of each tensor of the encoder."""
    if not key:
        return states
    prefix = key["prefix"]
    encoder = {}
    for name, value in states["network"].items():
        if name.startswith(prefix):
            encoder[name.removeprefix(prefix)] = value
    return _in_networks(states, partial(_without, encoder, prefix))


def put_back(states: Json, key: EncoderKey, folder: Path | None) -> Json:
    """The states that `take_out` changed.

    Raises:
        ModelError: the encoder's file is missing or damaged.
        LookupError, TypeError, ValueError: `key` is none, or of another network; or `folder` is
            None.
    """
    if not key:
        return states
    if folder is None:
        raise ValueError("its encoder lies in another file")
    tensors = load(read_encoder(folder, key["hash"], key["source"]))
    return _in_networks(states, partial(_with, tensors, key["prefix"]))


def _in_networks(states: Json, change: Callable[[Json], Json]) -> Json:
    """The states with those changed that may hold a network, or a copy such as a teacher."""
    networks = {name: change(states[name]) for name in ("network", "evaluated")}
    parts = {name: change(part) for name, part in states["parts"].items()}
    return {**states, **networks, "parts": parts}


def _without(encoder: Tensors, prefix: str, state: Json) -> Json:
    rest = copy(state)
    for name, value in state.items():
        if _is_same(value, encoder.get(name.partition(prefix)[2])):
            rest[name] = None
    return rest


def _with(encoder: Tensors, prefix: str, state: Json) -> Json:
    whole = copy(state)
    for name, value in state.items():
        if value is None and prefix in name:
            whole[name] = encoder[name.partition(prefix)[2]]
    return whole


def _is_same(value: Any, frozen: Tensor | None) -> bool:
    return (
        isinstance(value, Tensor)
        and frozen is not None
        and (value.dtype, value.device) == (frozen.dtype, frozen.device)
        and torch.equal(value, frozen)
    )
