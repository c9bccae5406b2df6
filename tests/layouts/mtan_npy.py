"""A made data set in the layout of MTAN's arrays."""

from pathlib import Path

import cv2
import numpy as np

from labelgrid.data.layouts.mtan_npy import NYUV2
from labelgrid.ledger.grid import TaskRow
from tests.support import Made

LAYOUT = "mtan_npy"
PICTURES = ("image/*.npy",)
ROWS = tuple(TaskRow(name, name, 1.0, NYUV2[name]) for name in ("semseg", "depth"))


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    for number, name in enumerate(made.names):
        split, index = ("train", number) if number < 3 else ("val", 0)
        for folder in ("image", "label", "depth"):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
        image = cv2.imread(str(made.images / name))[..., ::-1]
        np.save(root / split / "image" / f"{index}.npy", image.astype(np.float64) / 255)
        classes = cv2.imread(str(made.label(name, "semseg")), cv2.IMREAD_UNCHANGED).astype(int)
        np.save(
            root / split / "label" / f"{index}.npy",
            np.where(classes == 255, -1, classes).astype(np.float64),
        )
        if made.label(name, "depth") != missing:
            depth = cv2.imread(str(made.label(name, "depth")), cv2.IMREAD_UNCHANGED)
            np.save(root / split / "depth" / f"{index}.npy", (depth / 1000.0)[..., None])
