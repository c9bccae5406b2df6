"""What tests of studies share: a made data set with splits, and a recipe whose runs train in a second."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from labelgrid.basics.files import write_text
from labelgrid.data.layouts import cityscapes, mtan_npy, nyud, pascal
from labelgrid.lab.scenes.write_scenes import tasks_toml
from labelgrid.lab.simulation.resume_check import check_same, widen_study
from labelgrid.lab.simulation.run_identity import identities_of
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_recipe import KEPT, Study, earlier_values, kept_study, study_of
from labelgrid.lab.simulation.study_request import StudyRequest, add_known_classes
from labelgrid.lab.simulation.validate import validate_study
from labelgrid.recipes.resolve import chain, find_recipe, shipped_recipes
from tests.projects import RECIPE
from tests.support import CLASSES, Made, make_dataset

SIMULATE = f"""\
[simulate]
data = "folder"
initial = 3
budget = 5
rounds = 2
seeds = 1
strategies = ["partal", "random_cells"]
[simulate.tasks]
semseg = {{ classes = {str(list(CLASSES)).replace("'", '"')} }}
depth = {{}}
"""

#: The tasks of the data sets that shipped studies are for.
TABLES = {
    "nyud": nyud.TASKS,
    "pascal": pascal.TASKS,
    "cityscapes": cityscapes.TASKS,
    "folder": tomllib.loads(tasks_toml()),
}


#: The recipes of the studies behind docs/results.
RESEARCH = Path(__file__).parents[1] / "research/recipes"


def recipe_named(name: str) -> str:
    """The name of a shipped recipe, or the path of one of `RESEARCH`."""
    return name if name in shipped_recipes() else str(RESEARCH / f"{name}.toml")


def shipped_study(name: str) -> Study:
    """The study of a recipe, shipped or of research, with the class names of its data set."""
    study = study_of(recipe_named(name))
    arrays = mtan_npy.NYUV2 if "normals" in study.tasks else mtan_npy.CITYSCAPES
    return replace(
        study, tasks=add_known_classes(study.tasks, TABLES.get(study.data, arrays), Path())
    )


def shipped_studies() -> Iterator[tuple[str, Study]]:
    """The name and the study of every recipe that has one, shipped or of research."""
    research = [path.stem for path in RESEARCH.glob("*.toml")]
    for name in sorted([*shipped_recipes(), *research]):
        tables = chain(find_recipe(recipe_named(name)))
        if any("simulate" in table for table in tables):
            yield recipe_named(name), shipped_study(name)


def make_data(folder: Path, pool: int = 8, test: int = 3) -> Made:
    """A data set with the splits train and test."""
    made = make_dataset(folder, n=pool + test, size=(32, 64), tasks=("semseg", "depth"))
    splits = made.root / "splits"
    splits.mkdir()
    (splits / "train.txt").write_text("".join(f"{name}\n" for name in made.names[:pool]))
    (splits / "test.txt").write_text("".join(f"{name}\n" for name in made.names[pool:]))
    return made


def make_recipe(folder: Path, more: str = "") -> Path:
    """The recipe's file; `more` TOML follows [simulate]'s own keys."""
    path = folder / "study.toml"
    path.write_text(RECIPE.replace("epochs = 2", "epochs = 1") + SIMULATE + more)
    return path


def study_request(folder: Path, out: str = "out", **changes: object) -> StudyRequest:
    """A study over the data in `folder/data`, made when it is not there."""
    root = folder / "data"
    if not root.exists():
        make_data(root)
    recipe = make_recipe(folder)
    return StudyRequest.of(str(recipe), root, folder / out, changes=changes)


def widened(request: StudyRequest) -> StudyRequest:
    """The request with the strategies, seeds and rounds of its folder."""
    earlier = earlier_values(request.out)
    if earlier is None:
        return request
    study = widen_study(request.study, kept_study(earlier, request.out))
    return replace(request, study=study)


def resumable(request: StudyRequest) -> list[Run]:
    """The runs of a request, if neither its study nor its folder is refused."""
    runs = validate_study(request)
    check_same(request, runs, identities_of(request, runs))
    return runs


def begin(request: StudyRequest, keys: Iterable[str] | None = None) -> None:
    """Leave the folder as one whose runs, or those of some keys, have trained something."""
    runs = runs_of(request.study)
    values = request.to_json() | identities_of(request, runs).as_json()
    request.out.mkdir(exist_ok=True)
    write_text(request.out / KEPT, json.dumps(values))
    for key in [run.key for run in runs] if keys is None else keys:
        train_some(request.out / "runs" / key)


def train_some(run: Path) -> None:
    """Leave a run's folder as one that trained something."""
    write_text(run / "rounds" / "0001" / "fit" / "last.ckpt", "")
