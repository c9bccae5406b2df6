"""Writes the predictions of ONNX files for `labelgrid score DIR --predictions OUT`: several networks, the members of an ensemble."""

from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def write_predictions(
    models: list[Path], images: Path, image_ids: list[str], out: Path, size: tuple[int, int]
) -> None:
    """Each model maps [1, 3, height, width] of `size` to logits of `semseg` [1, c, h, w]."""
    sessions = [onnxruntime.InferenceSession(model) for model in models]
    for image_id in image_ids:
        photo = ImageOps.exif_transpose(Image.open(images / image_id)).convert("RGB")
        pixels = np.asarray(photo.resize(size[::-1]), np.float32).transpose(2, 0, 1)[None] / 255
        members = [own.run(None, {own.get_inputs()[0].name: pixels})[0] for own in sessions]
        path = (out / image_id).with_suffix(".npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{"semseg.logits": np.concatenate(members)})
