"""Runs the notebooks of docs/; `python -m tools.notebook` writes what they printed into them."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from labelgrid.basics.bars import PROGRESS
from tools.source import ROOT

FOLDER = "docs/notebooks"
#: Seconds that a cell may take.
LIMIT = 600


def executed(path: Path) -> NotebookNode:
    """A notebook with the outputs of a run in a kernel of its own, without stderr and progress.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", record_timing=False)
    client.execute()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell["outputs"] = [output for output in cell.outputs if not _is_passing(output)]
    return notebook


def _is_passing(output: NotebookNode) -> bool:
    """Whether an output says how long something took, or only what goes on."""
    return bool(output.get("name") == "stderr" or output.get("metadata") == PROGRESS)


def main() -> None:
    """Run all notebooks and write them."""
    for path in sorted((ROOT / FOLDER).glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
