"""A made data set in the layout of PASCAL_MT."""

import shutil
from pathlib import Path

from labelgrid.data.layouts.pascal import TASKS
from labelgrid.ledger.grid import TaskRow
from tests.support import Made

LAYOUT = "pascal"
ROWS = tuple(TaskRow(name, name, 1.0, TASKS[name]) for name in ("semseg", "saliency"))


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    shutil.copytree(made.images, root / "JPEGImages")
    for folder in ("semseg/VOC12", "semseg/pascal-context", "sal_distill", "ImageSets/Context"):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(made.names):
        voc = "VOC12" if number % 2 else "pascal-context"
        shutil.copyfile(
            made.label(name, "semseg"), root / "semseg" / voc / f"{Path(name).stem}.png"
        )
        if made.label(name, "saliency") != missing:
            shutil.copyfile(
                made.label(name, "saliency"), root / "sal_distill" / f"{Path(name).stem}.png"
            )
    ids = [Path(name).stem for name in made.names]
    (root / "ImageSets/Context/train.txt").write_text("\n".join(ids[:3]))
    (root / "ImageSets/Context/val.txt").write_text("\n".join(ids[3:]))
