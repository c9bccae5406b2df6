"""Runs the notebooks of docs/; `python -m tools.notebook` writes what they printed into them."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from tools.source import ROOT

FOLDER = "docs/notebooks"
#: Seconds that a cell may take.
LIMIT = 600


def executed(path: Path) -> NotebookNode:
    """A notebook with the outputs of a run in a kernel of its own, without messages on stderr.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", record_timing=False)
    client.execute()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell["outputs"] = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Run all notebooks and write them."""
    for path in sorted((ROOT / FOLDER).glob("*.ipynb")):
        nbformat.write(executed(path), path)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
