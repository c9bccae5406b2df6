"""Keeps the maps of frozen encoders in files, so that an image is encoded once."""

from collections.abc import Sequence

import safetensors
from safetensors.torch import load, save
from torch import Tensor, nn

from labelgrid.basics.kept_files import KeptFiles


class KeptMaps(KeptFiles):
    """The maps of images in half precision, by what the encoder computed them from.

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


def kept_of(encoder: nn.Module) -> KeptMaps | None:
    """The files in which a frozen encoder keeps its maps; None if none are kept."""
    kept = getattr(encoder, "kept", None)
    return kept if isinstance(kept, KeptMaps) else None
