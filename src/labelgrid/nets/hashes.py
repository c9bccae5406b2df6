"""Hashes tensors."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def weights_hash(weights: Mapping[str, torch.Tensor]) -> str:
    """Compute the hash of named tensors.

    It does not depend on their order, so two equal trainings have the same hash.

    Example:
        >>> a = torch.zeros(2)
        >>> b = torch.ones(1)
        >>> weights_hash({"a": a, "b": b}) == weights_hash({"b": b, "a": a})
        True
        >>> weights_hash({"a": a, "b": b}) == weights_hash({"a": b, "b": b})
        False
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(weights):
        value = weights[name].cpu()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def key_of(image: Tensor, encoder: str) -> str:
    """The key of the maps that an encoder computes from an image [1, 3, h, w].

    Args:
        image: the network's input.
        encoder: identifies the encoder and all else that its maps depend on.
    """
    pixels = image.detach().cpu().contiguous()
    told = f"{encoder} {tuple(pixels.shape)} {pixels.dtype}".encode()
    digest = hashlib.blake2b(told, digest_size=16)
    digest.update(pixels.view(torch.uint8).numpy().data)
    return digest.hexdigest()
