"""Costs learned from how long labels took: from the annotator's list to what the next query buys."""

import csv
import json
from pathlib import Path

from tests.e2e.commands import answer, done, manifest, refused, status
from tests.support import Made

#: Seconds of a label; the declared costs are the other way round.
TOOK = {"depth": 90.0, "normals": 30.0}


def fill_in(request: Path, **times: object) -> None:
    """Fill in the column `seconds` of `manifest.csv`, as a spreadsheet would."""
    with (request / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (request / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(row | {"seconds": times[row["task"]]} for row in rows)


def bought(flat: Path) -> tuple[dict[str, int], float, str]:
    """What a query would buy for 9: labels by task, their cost, and what it says."""
    words = (
        "--budget",
        9,
        "--unit",
        "cost",
        "--strategy",
        "random_cells",
        "--dry-run",
        "--new",
        "--json",
    )
    found = done("query", flat, *words)
    asked = json.loads(found.out)
    tasks = [pick["cell"]["task"] for pick in asked["picks"]]
    return {task: tasks.count(task) for task in TOOK}, asked["cost"], " ".join(found.err.split())


def test_times_that_were_imported_change_what_a_budget_buys(data: Made, tmp_path: Path) -> None:
    flat, request = tmp_path / "flat", tmp_path / "request"
    done(
        "init", flat, "--images", data.images, "--task", "depth:cost=1", "--task", "normals:cost=3"
    )
    done("query", flat, "--budget", 5, "--unit", "images")
    done("export", flat, "--out", request)
    answer(request, data)
    fill_in(request, depth=90, normals="half a minute")
    message = refused(flat, "import", flat, request)
    assert "The label's time is 'half a minute'; it must be a number of seconds above 0" in message
    fill_in(request, **TOOK)
    done("import", flat, request)

    found = status(flat)
    assert {task: values["times"] for task, values in found["tasks"].items()} == {
        "depth": {"labels": 5, "median": 90.0, "mean": 90.0, "cost": 2.0},
        "normals": {"labels": 5, "median": 30.0, "mean": 30.0, "cost": 2.0},
    }
    assert found["costs"] == "declared" and found["spent"] == 20.0
    said = " ".join(done("status", flat).out.split())
    assert (
        "learned cost" in said
        and 'with costs = "times" in labelgrid.toml, the learned ones' in said
    )
    assert "timed label" not in said  # of five
    before, cost, said = bought(flat)
    assert before == {"depth": 3, "normals": 2} and cost == 9 and "learned" not in said

    settings = flat / "labelgrid.toml"
    settings.write_text(settings.read_text().replace('costs = "declared"', 'costs = "times"'))
    after, cost, said = bought(flat)
    assert after == {"depth": 3, "normals": 1} and cost == 8
    assert (
        "Costs are learned from the times of 10 labels: depth 2 (declared 1), normals 2 (declared 3)."
        in said
    )
    assert "these labels cost as much together as declared" in said

    done("query", flat, "--budget", 9, "--unit", "cost", "--strategy", "random_cells")
    done("export", flat, "--out", tmp_path / "second")
    assert {row["cost"] for row in manifest(tmp_path / "second")} == {2.0}
    answer(tmp_path / "second", data)
    done("import", flat, tmp_path / "second")
    assert (
        status(flat)["spent"] == 20.0 + 8.0
    )  # what was paid stays; the new labels cost what was promised
    page = tmp_path / "page.html"
    done("report", flat, "--out", page)
    assert "learned cost of one label" in page.read_text()
