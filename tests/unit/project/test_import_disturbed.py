"""Laws of an import that is disturbed: killed, on a full disk, in a project that cannot be written."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ledger, make_project, put, states
from tests.support import Made

RUN = """
import os, resource, signal, sys
from pathlib import Path
import alembic.command, cv2, PIL.PngImagePlugin  # loaded before rights are given up
from labelgrid.imports.import_labels import import_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.basics.errors import LabelgridError
from labelgrid.ledger import moves
from labelgrid.basics import files
import labelgrid.formats.codecs.classes, labelgrid.formats.codecs.depth
import labelgrid.tasks.kinds.semseg, labelgrid.tasks.kinds.depth
from labelgrid.basics import plugins
for name in plugins.names("tools"): plugins.create("tools", name)
for name in plugins.names("relations"): plugins.resolve("relations", name)
import importlib.readers, pydantic, labelgrid.imports.import_picture, labelgrid.recipes.resolve
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def after(count, module, name):
    real, left = getattr(module, name), [count]
    def counted(*arguments, **named):
        left[0] -= 1
        return real(*arguments, **named) if left[0] >= 0 else die()
    setattr(module, name, counted)
{0}
try:
    with ProjectFolder.open(Path(sys.argv[1])) as project:
        import_labels(project, Path(sys.argv[2]))
except LabelgridError as error:
    sys.exit(str(error))
"""


def run(code: str, project: Path, answers: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", RUN.format(code), str(project), str(answers)]
    return subprocess.run(words, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "where",
    [
        "after(2, files.os, 'fsync')",
        "after(3, files.Path, 'replace')",
        "after(0, moves, '_write')",
        "after(0, moves, 'move')",
    ],
)
def test_killed_anywhere_the_next_run_makes_the_same_ledger(
    project: ProjectFolder, data: Made, answered: Path, where: str
) -> None:
    before = ledger(project)
    undisturbed = project.folder.with_name("undisturbed")
    shutil.copytree(project.folder, undisturbed)
    done = run(where, project.folder, answered)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ledger(project) == before
    import_labels(project, answered)
    with ProjectFolder.open(undisturbed) as other:
        import_labels(other, answered)
        assert ledger(project) == ledger(other)
        assert list(project.store.cells()) == list(other.store.cells())
        assert project.store.rebuild() == 0


def test_a_full_disk_is_a_sentence_and_nothing_is_imported(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=2, tasks=("depth",), size=(200, 300))
    big = np.random.default_rng(0).integers(1, 60_000, (200, 300)).astype(np.uint16)
    put(tmp_path / "answers", Cell(data.names[0], "depth"), big)
    with make_project(tmp_path / "project", data) as project:
        before = ledger(project)
        full = "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))"
        done = run(full, project.folder, tmp_path / "answers")
        assert done.returncode == 1
        assert done.stderr == (
            f"The disk reports an error: File too large ({project.folder}).\n"
            "  Free some space or fix the folder's permissions, and run the same command again. "
            "Nothing was imported.\n"
        )
        assert ledger(project) == before
        assert not list(project.folder.rglob("*.png"))
        import_labels(project, tmp_path / "answers")
        assert len(ledger(project)) == len(before) + 1


@pytest.mark.parametrize("shut", [".", "labels"])
def test_a_read_only_project_is_a_sentence_and_nothing_is_imported(
    shut: str, made: Callable[..., Made]
) -> None:
    with tempfile.TemporaryDirectory() as name:  # where another user can get to
        folder = Path(name)
        data = made(n=1, tasks=("depth",), size=(8, 8))
        shutil.copytree(data.root, folder / "made")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        with make_project(
            folder / "project", Made(folder / "made", data.names, data.rows)
        ) as project:
            (project.folder / "labels").mkdir()
        for path in (folder / "project", *(folder / "project").rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        (folder / "project" / shut).chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
        other = "os.setgid(65534); os.setuid(65534)" if os.geteuid() == 0 else ""
        done = run(other, folder / "project", folder / "made/labels")
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith(
            "The ledger cannot be used: "
            if shut == "."
            else "The disk reports an error: Permission"
        )
        (folder / "project" / shut).chmod(0o777)
        with ProjectFolder.open(folder / "project") as project:
            assert ledger(project) == []


def test_no_torch_is_loaded(project: ProjectFolder, answered: Path) -> None:
    code = "import atexit; atexit.register(lambda: os._exit(7 if 'torch' in sys.modules else 0))"
    assert run(code, project.folder, answered).returncode == 0
    assert set(states(project).values()) == {"labelled"}
