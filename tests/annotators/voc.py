"""How somebody answers with Pascal VOC's masks: a labelmap.txt, and one coloured PNG an image."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support import CLASSES

CONNECTOR = "voc"
TASKS = ("semseg",)
COLOURS = ((128, 0, 0), (0, 255, 0), (7, 8, 9), (255, 255, 255))


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the masks, every second one as a palette PNG; skips cannot be said."""
    out = sent / "answer"
    masks = out / "SegmentationClass"
    masks.mkdir(parents=True, exist_ok=True)
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for name, colour in zip(CLASSES, COLOURS, strict=True):
        lines.append(f"{name}:{','.join(map(str, colour))}::")
    (out / "labelmap.txt").write_text("\n".join(lines) + "\n")
    table = np.zeros((256, 3), np.uint8)
    table[: len(COLOURS)] = COLOURS
    for number, row in enumerate(json.loads((sent / "manifest.json").read_text())):
        if row["request_id"] in labels:
            index = np.asarray(Image.open(labels[row["request_id"]]))
            picture = Image.fromarray(table[index])
            if number % 2:
                picture = Image.fromarray(index)
                picture.putpalette(table.tobytes())
            picture.save(masks / f"{Path(row['image']).stem}.png")
    return out


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a mask that is a link to a file outside of the folder."""
    masks = sent / "answer" / "SegmentationClass"
    masks.mkdir(parents=True)
    (masks / "0000.png").symlink_to(outside)
    return sent / "answer"


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Cut the mask of an image in its middle."""
    path = answer / "SegmentationClass" / f"{Path(image).stem}.png"
    path.write_bytes(path.read_bytes()[:40])
