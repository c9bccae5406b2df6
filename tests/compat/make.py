"""Makes the archive that later versions have to open, by commands alone.

    python -m tests.compat.make /labelgrid-0.1.0 tests/compat/0.1.0.zip

The folder is made anew and removed again. Its path ends up in the archive, so it should be nobody's.
"""

import json
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelgrid.train import checkpoint
from tests.e2e.commands import answer, done
from tests.e2e.killing import is_leftover
from tests.support import CLASSES, Made, make_dataset

SIZE = (32, 48)
TRAIN, TEST = 6, 2
#: Tasks of the made data set.
TASKS = ("semseg", "depth")
#: Small enough that its checkpoint takes few bytes.
RECIPE = f"""\
extends = "small"
[data]
size = {list(SIZE)}
[network]
name = "segnet"
options = {{ width = 1 }}
[train]
epochs = 1
batch = 2
steps = 0
workers = 0
[score.dropout]
passes = 3
"""
STUDY = f"""{RECIPE}
[simulate]
data = "folder"
initial = 2
budget = 3
rounds = 1
seeds = 1
full = false
strategies = ["random_cells", "random_images"]
[simulate.tasks]
semseg = {{ classes = {json.dumps(list(CLASSES))} }}
depth = {{}}
"""
BUDGET = ("--budget", 4, "--unit", "labels", "--strategy", "margin")


def make_data(folder: Path) -> Made:
    """Images, labels and splits below data/, and the recipes."""
    made = make_dataset(folder / "data", n=TRAIN + TEST, size=SIZE, tasks=TASKS)
    splits = folder / "data/splits"
    splits.mkdir()
    for split, names in (("train", made.names[:TRAIN]), ("test", made.names[TRAIN:])):
        (splits / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "study.toml").write_text(STUDY)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return made


def make_project(folder: Path, made: Made) -> None:
    """A project with held-out labels, a round's labels by two annotators, and a trained, scored round."""
    project, request = folder / "project", folder / "request"
    tasks = ("--task", f"semseg:{folder / 'classes.txt'}", "--task", "depth")
    recipe = ("--recipe", folder / "recipe.toml")
    done("init", project, "--images", made.images, *tasks, *recipe, "--holdout", 2)
    done("query", project, "--budget", 3, "--unit", "images", "--strategy", "random_images")
    done("export", project, "--out", request)
    answer(request, made)
    rows = json.loads((request / "manifest.json").read_text())
    for number, row in enumerate(rows):
        row["annotator"] = ("Ada", "")[number % 2]
        row["seconds"] = 10 + number
    (request / "manifest.json").write_text(json.dumps(rows))
    done("import", project, request)
    shutil.rmtree(request)
    done("fit", project)
    done("score", project, "--strategy", "margin")
    (project / "import.png").unlink(missing_ok=True)
    for path in project.rglob("*.ckpt"):
        checkpoint.save(replace(checkpoint.load(path), optimiser={}), path)


def study_words(folder: Path) -> tuple[object, ...]:
    """The command of the study, whose recipe, data and results lie in a folder."""
    words = ("--data", folder / "data", "--out", folder / "study", "--jobs", 1)
    return ("simulate", folder / "study.toml", *words)


def make_study(folder: Path) -> None:
    """A study of which its settings and records are left."""
    done(*study_words(folder))
    study = folder / "study"
    outcomes = (study / "outcomes.parquet").read_bytes()
    settings = (study / "study.json").read_bytes()
    shutil.rmtree(study)
    study.mkdir()
    (study / "records.parquet").write_bytes(outcomes)
    (study / "study.json").write_bytes(settings)


def answers(folder: Path) -> dict[str, Any]:
    """What the commands say of the project and the study, and the next picks."""
    project, study = folder / "project", folder / "study"
    page = ("--out", folder / "page.html", "--json")
    return {
        "status": json.loads(done("status", project, "--json").out),
        "verify": done("verify", project).out,
        "report": json.loads(done("report", project, *page).out),
        "evaluate": json.loads(done("evaluate", project, "--json").out),
        "query": json.loads(done("query", project, *BUDGET, "--json").out),
        "study": json.loads(done("report", study, *page).out),
    }


def make(folder: Path, archive: Path) -> None:
    """Make it all in a folder, which is removed again, and keep it in an archive."""
    folder.mkdir(parents=True)
    made = make_data(folder)
    make_project(folder, made)
    make_study(folder)
    kept = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".db-wal", ".db-shm") and not is_leftover(path):
            kept[path] = path.read_bytes()
    expected = {"folder": str(folder), "answers": answers(folder)}
    kept[folder / "expected.json"] = (json.dumps(expected, indent=1) + "\n").encode()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path, content in kept.items():
            name = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            file.writestr(name, content, zipfile.ZIP_DEFLATED)
    shutil.rmtree(folder)


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
