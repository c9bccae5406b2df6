"""What tests of campaigns share: a tiny project over made images, its labels, and a recipe that trains in a second."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import LabelImport, import_labels
from labelgrid.imports.imported import Imported
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.tasks.task import TaskDef
from tests.support import Made, make_dataset

TASKS = ("semseg", "depth", "normals")
#: A recipe that trains in a second.
RECIPE = Path(__file__).with_name("tiny.toml").read_text()


class Said(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def make_project(
    folder: Path,
    *,
    n: int = 10,
    holdout: int = 2,
    strategy: str = "partal",
    tasks: tuple[str, ...] = TASKS,
    seed: int = 0,
) -> tuple[ProjectFolder, Made]:
    """A project `folder/flat` over `n` made images of `folder/made`, nothing labelled."""
    made = make_dataset(folder / "made", n=n, size=[(32, 64), (48, 40)], seed=seed, tasks=tasks)
    (folder / "tiny.toml").write_text(RECIPE)
    settings = Settings(
        recipe=str((folder / "tiny.toml").absolute()), seed=seed, strategy=PluginChoice(strategy)
    )
    project = create.create(
        folder / "flat",
        [made.images],
        tasks=list(made.rows),
        settings=settings,
        progress=Silent(),
        holdout=holdout,
    )
    return project, made


@contextmanager
def undrawn_imports() -> Iterator[None]:
    """Imports within the block draw no picture, which takes as long as all else of them."""
    with patch.object(LabelImport, "_draw", _undrawn):
        yield


def _undrawn(_: LabelImport, result: Imported, *__: object) -> Imported:
    return result


def answer(project: ProjectFolder, made: Made) -> int:
    """Label every open request with the made labels; returns how many cells. Draws no picture."""
    from labelgrid.operations.export import export

    out = project.folder.parent / "request"
    count = 0
    export(project, out)
    for wanted in json.loads((out / "manifest.json").read_text()):
        path = out / wanted["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        task: TaskDef = project.tasks()[wanted["task"]]
        task.write(path, task.read(made.label(wanted["image"], wanted["task"])))
        count += 1
    with undrawn_imports():
        import_labels(project, out)
    for path in sorted(out.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    out.rmdir()
    return count


def write_own(folder: Path, monkeypatch: pytest.MonkeyPatch, modules: Mapping[str, str]) -> None:
    """Write modules of a user's own, by name, that are trusted and can be imported."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("LABELGRID_TRUST", ",".join(modules))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
