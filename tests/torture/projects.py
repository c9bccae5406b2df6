"""Projects to copy and to attack: the stages of a tiny campaign, and the commands that it consists of."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.commands import answer, done, task_words
from tests.projects import RECIPE
from tests.studies import make_data, make_recipe
from tests.support import CLASSES, Made, make_dataset, task_rows

TASKS = ("semseg", "depth")
#: A recipe that trains in a moment.
TINY = RECIPE.replace("passes = 4", "passes = 2").replace("epochs = 2", "epochs = 1")


@dataclass(frozen=True)
class Step:
    """A command: the stage it starts from, and its words.

    ROOM is the trial's folder, DATA the made files. A command that `goes_on` does more when it is
    typed again after it was done.
    """

    stage: str
    words: str
    goes_on: bool = False


#: Every command that writes something. `ROOM/flat` is the project, INIT the options of `init`.
STEPS = {
    "init": Step("", "init ROOM/flat --holdout 2 INIT"),
    "add": Step("new", "add ROOM/flat --images DATA/more/images --task edges"),
    "import": Step("answered", "import ROOM/flat ROOM/flat/rounds/0001/request"),
    "query": Step("new", "query ROOM/flat --budget 5 --strategy random_cells"),
    "query of a model": Step("scored", "query ROOM/flat --budget 5 --no-prelabels"),
    "export": Step("asked", "export ROOM/flat"),
    "cancel": Step("asked", "cancel ROOM/flat --round 1"),
    "task": Step("imported", "task ROOM/flat depth --set cost=3"),
    "unlabel": Step("imported", "unlabel ROOM/flat LABELLED"),
    "undo of a query": Step("asked by a model", "undo ROOM/flat"),
    "undo of an import": Step("imported", "undo ROOM/flat", goes_on=True),
    "remove": Step("imported", "remove ROOM/flat 0001.jpg 0002.jpg"),
    "report": Step("fitted", "report ROOM/flat --out ROOM/out.html"),
    "fit": Step("imported", "fit ROOM/flat"),
    "score": Step("fitted", "score ROOM/flat"),
    "predict": Step("fitted", "predict ROOM/flat DATA/more/images --out ROOM/out"),
    "evaluate": Step("fitted", "evaluate ROOM/flat"),
    "simulate": Step("", "simulate DATA/study.toml --data DATA/study --out ROOM/out --jobs 1"),
}


@dataclass(frozen=True)
class Stages:
    """The made data and the projects, as folders `data` and `stages/NAME/flat` of a folder."""

    folder: Path
    tasks: Sequence[str] = TASKS

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def room(self, stage: str, room: Path) -> Path:
        """A fresh folder with a copy of the project at a stage."""
        shutil.rmtree(room, ignore_errors=True)
        shutil.copytree(self.folder / "stages" / stage, room) if stage else room.mkdir(parents=True)
        return room

    def words(self, name: str, room: Path) -> list[str]:
        """The words of a command on the project in a folder."""
        text = STEPS[name].words.replace("INIT", init_words(self.data, self.tasks))
        if "LABELLED" in text:
            first = sorted((room / "flat/labels/depth").glob("*.png"))[0]
            text = text.replace("LABELLED", f"{first.name.split('.')[0]}.jpg:depth")
        return text.replace("ROOM", str(room)).replace("DATA", str(self.data)).split()


def init_words(data: Path, tasks: Sequence[str] = TASKS) -> str:
    """The options of `init` on the made data."""
    made = Made(data, (), task_rows(tasks))
    settings = ["--recipe", data / "tiny.toml", "--strategy", "partal"]
    return " ".join(map(str, ["--images", data / "images", *settings, *task_words(made)]))


def make_stages(folder: Path, tasks: Sequence[str] = TASKS) -> Stages:
    """Make the data, and a project at each stage."""
    stages = Stages(folder, tasks)
    made = make_dataset(stages.data, n=8, size=(32, 64), tasks=tasks)
    make_dataset(stages.data / "more", n=2, size=(32, 64), tasks=("depth",), seed=9, group=2)
    (stages.data / "classes.txt").write_text("\n".join(CLASSES))
    (stages.data / "tiny.toml").write_text(TINY)
    make_data(stages.data / "study", pool=5, test=2)
    study = make_recipe(stages.data)
    text = (
        study.read_text()
        .replace("rounds = 2", "rounds = 1\nfull = false")
        .replace("initial = 3", "initial = 2")
    )
    study.write_text(text.replace("budget = 5", "budget = 2").replace('"partal", ', ""))
    room = folder / "stages/new"
    done(*stages.words("init", room))

    def stage(name: str, before: str, *words: str) -> Path:
        shutil.copytree(folder / "stages" / before, folder / "stages" / name)
        flat = folder / "stages" / name / "flat"
        done(*(word.replace("FLAT", str(flat)) for word in words))
        return flat

    stage("asked", "new", "query", "FLAT", "--budget", "7", "--strategy", "random_cells")
    flat = stage("answered", "asked", "export", "FLAT")
    for number in (0, 1):
        answer(flat / f"rounds/{number:04d}/request", made)
    flat = stage("imported", "answered", "import", "FLAT", "FLAT/rounds/0000/request")
    done("import", flat, flat / "rounds/0001/request")
    stage("fitted", "imported", "fit", "FLAT")
    stage("scored", "fitted", "score", "FLAT")
    # An operation that cannot be undone stands before the query.
    done("score", stage("fewer", "fitted", "remove", "FLAT", "0001.jpg"))
    stage("asked by a model", "fewer", "query", "FLAT", "--budget", "4")
    return stages
