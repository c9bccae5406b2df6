"""The notebooks of docs/ run, and print what they show, but for numbers and verdicts."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tests.docs import preloaded
from tests.laboratory import need_laboratory
from tools.notebook import FOLDER, executed
from tools.source import ROOT

COVERS = ["tools.notebook"]
NOTEBOOKS = sorted((ROOT / FOLDER).glob("*.ipynb"))
#: They differ between machines.
VARIES = re.compile(r"better|worse|within noise|[-−+]?\d+(\.\d+)?")
#: What the process of a kernel runs; a kernel ends when its parent does.
KERNEL = """
import os
import matplotlib
matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
os.environ["JPY_PARENT_PID"] = str(os.getppid())
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


@pytest.fixture
def _kernels_have_loaded_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel is a fork that has loaded torch and more, but nothing of labelgrid."""
    words = [str(preloaded.folder() / "python"), "-c", KERNEL, "-f", "{connection_file}"]
    kernel = tmp_path / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    about = {"display_name": "fork", "language": "python", "interrupt_mode": "message"}
    kernel.write_text(json.dumps({"argv": words, **about}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv(preloaded.LOADS_LABELGRID, "yes")


def outputs(notebook: NotebookNode) -> list[list[str]]:
    """What each cell of code printed, and what kinds of data it shows."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[part for output in cell.outputs for part in parts(output)] for cell in cells]


def parts(output: NotebookNode) -> list[str]:
    data = output.get("data", {})
    text = output.get("text", data.get("text/plain", ""))
    return [output.output_type, VARIES.sub("…", text), *sorted(data)]


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_kernels_have_loaded_the_libraries")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_prints_what_it_shows(path: Path) -> None:
    need_laboratory()  # whose rooms are rendered
    shown = outputs(nbformat.read(path, as_version=4))
    assert any(shown)
    assert outputs(executed(path)) == shown


def test_what_a_cell_prints_is_kept_but_for_its_messages(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ipynb", "import sys\nprint(1.5, file=sys.stderr)\nprint(2, 'a')\n[3]"
    )
    assert outputs(executed(path)) == [["stream", "… a\n", "execute_result", "[…]", "text/plain"]]


def test_a_notebook_with_a_cell_that_fails_fails(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="no good"):
        executed(write(tmp_path / "a.ipynb", "raise ValueError('no good')"))
