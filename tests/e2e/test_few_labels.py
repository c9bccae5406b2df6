"""Campaigns with few labels: none at all, none of one task, or one task only.

All work and report what they do.
"""

import json
from collections.abc import Callable
from pathlib import Path

from tests.e2e.commands import answer, cells, done, fixed, held_out, refused, status
from tests.support import Made

Copied = Callable[[str], Path]
PARTAL = ("--strategy", "partal")


def words(text: str) -> str:
    return " ".join(text.split())


def test_without_any_label_images_are_drawn_and_that_is_said(project: Copied) -> None:
    flat = project("new")
    found = done("query", flat, "--budget", 6, "--json")
    said = "There is no model yet, so 'partal' has no scores: picking images at random."
    assert words(found.err) == said
    asked = json.loads(found.out)
    assert asked["strategy"] == "random_images" and len(asked["picks"]) == 6
    assert len({pick["cell"]["image"] for pick in asked["picks"]}) == 2
    assert not held_out(flat) & {pick["cell"]["image"] for pick in asked["picks"]}


def test_a_task_without_any_label_is_said_and_drawn_at_random(
    project: Copied, data: Made, tmp_path: Path
) -> None:
    flat, labels = project("new"), tmp_path / "labels" / "depth"
    learnt = sorted(set(data.names) - held_out(flat))[:4]
    labels.mkdir(parents=True)
    for name in learnt:
        label = data.label(name, "depth")
        (labels / label.name).write_bytes(label.read_bytes())
    done("import", flat, labels.parent)
    found = done("fit", flat)
    for task in ("semseg", "normals"):
        assert (
            f"No label of '{task}' yet: it has no supervised loss, and its cells no scores."
            in words(found.err)
        )
    assert "'depth'" not in found.err and "Trained on 4 images with 4 depth labels" in words(
        found.out
    )
    asked = json.loads(done("query", flat, "--budget", 12, "--json").out)
    assert asked["strategy"] == "partal" and {p["cell"]["task"] for p in asked["picks"]} >= {
        "semseg",
        "normals",
    }
    assert list(fixed(flat, "partal")) == ["depth"]


def test_one_task_alone_goes_the_whole_way_until_nothing_is_left_to_ask(
    data: Made, tmp_path: Path
) -> None:
    flat, recipe = tmp_path / "flat", data.root / "tiny.toml"
    done(
        "init",
        flat,
        "--images",
        data.images,
        "--task",
        "depth",
        "--holdout",
        2,
        "--recipe",
        recipe,
        *PARTAL,
    )
    done("query", flat, "--budget", 4)
    done("export", flat)
    for number in (0, 1):
        request = flat / "rounds" / f"{number:04d}" / "request"
        answer(request, data)
        done("import", flat, request)
    done("fit", flat, "--epochs", 1)
    asked = json.loads(done("query", flat, "--budget", 4, "--json").out)
    assert asked["strategy"] == "partal" and len(asked["picks"]) == 4
    assert f"labelgrid export {flat}" in status(flat)["next"]
    done("export", flat)
    answer(flat / "rounds" / "0002" / "request", data)
    done("import", flat, flat / "rounds" / "0002" / "request")
    assert len(cells(flat, "labelled")) == 10
    assert refused(tmp_path, "query", flat, "--budget", 1) == (
        "The pool is empty: no image to train on lacks a label.\n"
        "  Add images or tasks with `labelgrid add`. Nothing was requested."
    )
    assert status(flat)["next"] == f"labelgrid fit {flat}"
    assert (
        f"Next: labelgrid report {flat} (every cell has an answer)\n"
        in done("fit", flat, "--epochs", 1).out
    )


def test_labels_that_cost_nothing_are_asked_for_within_any_budget(
    data: Made, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    done(
        "init", flat, "--images", data.images, "--task", "depth:cost=0", "--task", "normals:cost=3"
    )
    query = ["query", flat, "--budget", 7, "--unit", "cost", "--strategy", "random_cells", "--json"]
    asked = json.loads(done(*query).out)
    tasks = [pick["cell"]["task"] for pick in asked["picks"]]
    assert (tasks.count("depth"), tasks.count("normals"), asked["cost"]) == (10, 2, 6.0)
