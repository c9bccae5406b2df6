"""Keeps the maps of frozen encoders in files, so that an image is encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import safetensors
from safetensors.torch import load, save
from torch import Tensor, equal, nn

from labelgrid.basics.kept_files import KeptFiles

#: Images are looked up by every so many-th of their numbers, and then compared.
EVERY = 97


class KeptMaps(KeptFiles):
    """Maps of images in half precision, by the hash of the encoder's input.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> kept = KeptMaps(Path(tempfile.mkdtemp()), limit=2**20)
        >>> kept.read("ab12")
        >>> kept.write("ab12", [torch.tensor([0.5])])
        >>> kept.read("ab12")
        [tensor([0.5000], dtype=torch.float16)]
    """

    def read(self, key: str) -> list[Tensor] | None:
        """The maps under a key; None if there are none."""
        content = self.read_bytes(key)
        if content is None:
            return None
        try:
            tensors = load(content)
        except safetensors.SafetensorError:
            return None
        return [tensors[str(number)] for number in range(len(tensors))]

    def write(self, key: str, maps: Sequence[Tensor], *, often: bool = False) -> None:
        """Keep maps under a key, unless there is no room, as `has_room`, or the disk refuses."""
        if not self.has_room(sum(2 * part.numel() for part in maps), often=often):
            return
        tensors = {}
        for number, part in enumerate(maps):
            tensors[str(number)] = part.cpu().half().contiguous()
        self.write_bytes(key, save(tensors), often=often)


@dataclass
class RememberedMaps:
    """The maps of images in memory, so that a training reads each image's file of maps once.

    Args:
        limit: the most bytes of images and maps, which are remembered until then.

    Example:
        >>> import torch
        >>> remembered = RememberedMaps()
        >>> remembered.remember(torch.ones(2), [torch.zeros(1)], "encoder")
        >>> remembered.recall(torch.ones(2), "encoder"), remembered.recall(torch.ones(2), "other")
        ([tensor([0.])], None)
    """

    limit: int = 2**27
    _size: int = field(default=0, init=False)
    _encoder: str = field(default="", init=False)
    _maps: dict[bytes, tuple[Tensor, list[Tensor]]] = field(default_factory=dict, init=False)

    def recall(self, image: Tensor, encoder: str) -> list[Tensor] | None:
        """The maps that an encoder computes from an image; None if they are not remembered."""
        entry = self._maps.get(_sample(image))
        if encoder != self._encoder or entry is None:
            return None
        is_same = entry[0].device == image.device and equal(entry[0], image)
        return entry[1] if is_same else None

    def remember(self, image: Tensor, maps: list[Tensor], encoder: str) -> None:
        """Remember maps, while there is room; those of another encoder are forgotten."""
        if encoder != self._encoder:
            self._maps.clear()
            self._size = 0
        self._encoder = encoder
        key = _sample(image)
        size = sum(part.nbytes for part in (image, *maps))
        if self._size + size <= self.limit and key not in self._maps:
            self._size += size
            self._maps[key] = (image.clone(), maps)


def _sample(image: Tensor) -> bytes:
    return bytes(image.flatten()[::EVERY].float().cpu().numpy())


def kept_of(encoder: nn.Module) -> KeptMaps | None:
    """The files in which a frozen encoder keeps its maps; None if none are kept."""
    kept = getattr(encoder, "kept", None)
    return kept if isinstance(kept, KeptMaps) else None
