"""Joins the small tensors of a state: a file of a thousand tensors is slow to write and to read.

Ours: a network's state and its optimiser's are many hundred tensors, most of them biases, norms and
counters. `torch.save` keeps a record for each, which `torch.load` rebuilds in Python.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from torch import Tensor

#: Tensors of at most so many values are joined; larger ones are written one by one, uncopied.
SMALL = 2**14


def pack(state: Any) -> tuple[Any, Tensor]:
    """Take the small tensors out of a state.

    Args:
        state: nested dicts, lists and tuples of tensors and plain values.

    Returns:
        The state with a place (type, shape, whether its channels are last in memory) for each small
        tensor, and the bytes of all of them, in the order of the state.

    Example:
        >>> packed, joined = pack({"a": torch.zeros(2), "b": [torch.ones(1, 1)], "c": 3})
        >>> packed["b"], packed["c"], len(joined)
        ([(torch.float32, (1, 1), False)], 3, 12)
        >>> unpack(packed, joined)
        {'a': tensor([0., 0.]), 'b': [tensor([[1.]])], 'c': 3}
    """
    taken = [torch.empty(0, dtype=torch.uint8)]

    def take(value: Any) -> Any:
        if not _is_small(value):
            return value
        channels_last = _has_channels_last(value)
        shape = tuple(value.shape)
        if channels_last:
            value = value.movedim(1, -1)
        taken.append(value.reshape(-1).cpu().view(torch.uint8))
        return value.dtype, shape, channels_last

    packed = _map(state, take)
    return packed, torch.cat(taken)


def unpack(packed: Any, joined: Tensor) -> Any:
    """Put the small tensors back into the state that `pack` returned.

    Raises:
        TypeError: `joined` is something else.
        IndexError, RuntimeError: a shape is none.
        ValueError: `joined` holds fewer or more bytes than the state needs.
    """
    is_bytes = isinstance(joined, Tensor) and joined.dtype == torch.uint8
    if not is_bytes or joined.dim() != 1 or not joined.is_contiguous():
        raise TypeError("joined tensors are not a row of bytes")
    begin = 0

    def put_back(value: Any) -> Any:
        nonlocal begin
        if not _is_place(value):
            return value
        dtype, shape, channels_last = value
        end = begin + torch.Size(shape).numel() * dtype.itemsize
        if not begin <= end <= len(joined):
            raise ValueError("values of joined tensors are missing")
        values = joined[begin:end].clone().view(dtype)
        begin = end
        if channels_last:
            return values.view(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
        return values.view(shape)

    state = _map(packed, put_back)
    if begin != len(joined):
        raise ValueError("there are more values of joined tensors than the state needs")
    return state


def _is_small(value: Any) -> bool:
    """Whether a value is a small tensor with nothing but a type, a shape and values."""
    return (
        type(value) is Tensor
        and value.layout == torch.strided
        and (value.is_contiguous() or _has_channels_last(value))
        and not (value.requires_grad or value.is_quantized or value.is_conj() or value.is_neg())
        and value.numel() <= SMALL
    )


def _has_channels_last(value: Tensor) -> bool:
    """Whether a tensor's channels are last in memory, by the strides even for a single pixel."""
    return (
        value.dim() == 4
        and value.is_contiguous(memory_format=torch.channels_last)
        and value.stride()[1::2] == (1, value.shape[1])
    )


def _is_place(value: Any) -> bool:
    """Whether a value stands for a tensor that was taken out."""
    return type(value) is tuple and len(value) == 3 and isinstance(value[0], torch.dtype)


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        copied = copy(value)  # with the versions of its modules, which torch keeps beside the items
        for key, inner in value.items():
            copied[key] = _map(inner, change)
        return copied
    if _is_place(value) or type(value) not in (list, tuple):
        return change(value)
    return type(value)(_map(inner, change) for inner in value)
