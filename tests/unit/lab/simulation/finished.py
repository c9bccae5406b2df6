"""Finished studies of three tasks, and arms that buy images, cells, cells with pseudo-labels, or uncertain cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.ledger.grid import Pick
from labelgrid.project.records import read_picks
from tests.projects import RECIPE
from tests.support import CLASSES, Made, make_dataset

TASKS = ("semseg", "depth", "normals")
SIMULATE = f"""
[simulate]
data = "folder"
initial = 3
budget = 6
rounds = 2
seeds = 1
full = false
[simulate.tasks]
semseg = {{ classes = {str(list(CLASSES)).replace("'", '"')} }}
depth = {{}}
normals = {{}}
"""
#: At this rate predicted depths are above 0 after an epoch.
STUDIED = RECIPE.replace("epochs = 2", "epochs = 1").replace(
    "batch = 4", "batch = 2\nlearning_rate = 2e-2"
)
ARMS = """
[simulate.arms.images]
strategy = "random_images"
[simulate.arms.cells]
strategy = "random_cells"
[simulate.arms.pseudo]
strategy = "random_cells"
rounds = 1
changes = { terms = { pseudo_labels = {} } }
[simulate.arms.uncertain]
strategy = "partal"
"""


@dataclass(frozen=True)
class Finished:
    """The study's folder and its data."""

    folder: Path
    made: Made

    def picked(self, arm: str, seed: int, number: int) -> list[Pick]:
        """The picks of a round."""
        return read_picks(self.folder / "runs" / f"{arm}-seed{seed}" / "rounds" / f"{number:04d}")


def finished_study(
    folder: Path, simulate: str, missing: Sequence[tuple[int, str]] = (), group: int = 0
) -> Finished:
    """Run a study of 10 images to train on and 3 to test on.

    Some labels, by image and task, do not exist.
    """
    made = make_dataset(folder / "data", n=13, size=(32, 64), tasks=TASKS, group=group)
    for index, task in missing:
        made.label(made.names[index], task).unlink()
    (made.root / "splits").mkdir()
    (made.root / "splits" / "train.txt").write_text(
        "".join(f"{name}\n" for name in made.names[:10])
    )
    (made.root / "splits" / "test.txt").write_text("".join(f"{name}\n" for name in made.names[10:]))
    path = folder / "study.toml"
    path.write_text(STUDIED + simulate)
    request = StudyRequest(
        recipe=str(path),
        study=study_of(str(path), {}),
        root=made.root,
        weights="",
        out=folder / "out",
        jobs=1,  # a second process would load as much again
    )
    assert not run_study(request).failed
    return Finished(folder / "out", made)
