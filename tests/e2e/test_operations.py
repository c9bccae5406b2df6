"""Every command that moves cells writes one operation with its name, and all its moves are of it."""

from pathlib import Path

from labelgrid.ledger.store import Store
from tests.e2e.commands import answer, done, manifest
from tests.support import Made


def commands(flat: Path) -> list[str]:
    """The commands of the operations, in order; their ids must rise with the events."""
    with Store.open(flat / "labelgrid.db") as store:
        operations = [event.operation for event in store.events()]
    assert operations == sorted(operations, key=lambda operation: operation.id)
    return [operation.command for operation in dict.fromkeys(operations)]


def test_each_command_that_moves_cells_is_one_operation(data: Made, tmp_path: Path) -> None:
    flat, request = tmp_path / "flat", tmp_path / "request"
    tasks = ("--task", "depth", "--task", "normals")
    done("init", flat, "--images", data.images, *tasks, "--holdout", 1)
    done("query", flat, "--budget", 2, "--unit", "images")
    done("export", flat, "--out", request, "--round", 1)
    rows = manifest(request)
    answer(request, data)
    label, asked = (f"{rows[i]['image']}:{rows[i]['task']}" for i in (0, 1))
    (request / rows[1]["path"]).unlink()
    done("import", flat, request)
    done("cancel", flat, asked)
    done("unlabel", flat, label)
    done("query", flat, "--budget", 2)
    done("task", flat, "depth", "--drop")
    done("task", flat, "depth", "--restore")
    done("add", flat, "--task", "saliency")
    expected = ["init", "query", "import", "cancel", "unlabel", "query", "task", "task", "add"]
    assert commands(flat) == expected
