"""Writes the predictions of a PyTorch network for `labelgrid score DIR --predictions OUT`: passes with dropout."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps


@torch.no_grad()
def write_predictions(
    network: torch.nn.Module, images: Path, image_ids: list[str], out: Path, passes: int = 10
) -> None:
    """The network returns logits of `semseg` [1, c, h, w], and metres of `depth` [1, 1, h, w]."""
    network.train()  # dropout stays on, once per pass
    for image_id in image_ids:
        photo = ImageOps.exif_transpose(Image.open(images / image_id)).convert("RGB")
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
        classes, depth = zip(*(network(pixels) for _ in range(passes)), strict=True)
        path = (out / image_id).with_suffix(".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"semseg.logits": torch.cat(classes), "depth.values": torch.cat(depth)}
        np.savez(path, **{name: array.numpy() for name, array in arrays.items()})
