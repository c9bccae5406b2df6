"""A made data set as a table, which the example of a layout in one file reads."""

import csv
import shutil
from pathlib import Path

from labelgrid.testing.scenes import Made

LAYOUT = "table_dataset:build"


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Write the data set below `root`, with two splits, without the label file `missing`."""
    shutil.copytree(made.root, root)
    with (root / "labels.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "task", "label", "split"])
        for number, name in enumerate(made.names):
            for row in made.rows:
                path = made.label(name, row.name)
                label = "" if path == missing else path.relative_to(made.root)
                lines.writerow(
                    [f"images/{name}", row.name, label, "train" if number < 3 else "val"]
                )
