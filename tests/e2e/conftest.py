"""Fixtures of the end-to-end tests: made images, and projects at three stages, to copy."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.e2e.commands import answer, done, task_words
from tests.projects import RECIPE
from tests.support import CLASSES, Made, make_dataset


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: equal sums in every run, and no competition for cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Ten images with labels of three tasks, with `classes.txt` and `tiny.toml` in the same folder."""
    made = make_dataset(
        tmp_path_factory.mktemp("data"), n=10, size=(32, 64), tasks=("semseg", "depth", "normals")
    )
    (made.root / "classes.txt").write_text("\n".join(CLASSES))
    (made.root / "tiny.toml").write_text(RECIPE)
    return made


@pytest.fixture(scope="session")
def stages(data: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Projects to copy: `new` (two images held out), `asked` (a round requested), `fitted` (answered and trained)."""
    folder = tmp_path_factory.mktemp("stages")
    new, asked, fitted = (folder / name for name in ("new", "asked", "fitted"))
    words = [
        "--images",
        data.images,
        *task_words(data),
        "--holdout",
        2,
        "--recipe",
        data.root / "tiny.toml",
    ]
    done("init", new, *words, "--strategy", "partal")
    shutil.copytree(new, asked)
    done("query", asked, "--budget", 9)
    done("export", asked)
    for number in (0, 1):
        answer(asked / "rounds" / f"{number:04d}" / "request", data)
    shutil.copytree(asked, fitted)
    for number in (0, 1):
        done("import", fitted, fitted / "rounds" / f"{number:04d}" / "request")
    done("fit", fitted)
    return folder


@pytest.fixture
def project(stages: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a stage's project to `flat`."""

    def copied(stage: str) -> Path:
        return Path(shutil.copytree(stages / stage, tmp_path / "flat"))

    return copied
