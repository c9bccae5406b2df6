"""Predicts each photograph of a folder with the file of `labelgrid export-model`, without labelgrid or torch: `python robot_loop.py model.onnx photos`."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, photos = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
about = json.loads(session.get_modelmeta().custom_metadata_map["labelgrid"])
if about["known"]:
    sys.exit(f"{model} needs labels, too: {', '.join(about['known'])}. Export it without --known.")
mean = np.float32(about["input"]["mean"])
std = np.float32(about["input"]["std"])
height, width = about["input"]["trained_at"]
tasks = [output.name for output in session.get_outputs()]

for path in sorted(Path(photos).glob("*.[jp][pn]g")):
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB").resize((width, height))
    image = (np.asarray(photo, np.float32) / 255 - mean) / std
    maps = session.run(None, {"image": image.transpose(2, 0, 1)[None]})
    # Each map is [1, channels, height, width]; about["outputs"] says what it is.
    parts = [path.name]
    for task, values in zip(tasks, maps, strict=True):
        parts.append(f"{task} {values.min():.2f} to {values.max():.2f}")
    print(", ".join(parts))
