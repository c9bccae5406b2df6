"""Laws of what a status counts and what it says to do next."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.status import status_of
from labelgrid.operations.task_change import drop_task
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import Fit
from labelgrid.report.project_data import project_report
from labelgrid.report.project_page import cells_figure
from tests.campaigns import ask, cells_of, make_project
from tests.support import Made


def label(project: ProjectFolder, *cells: Cell) -> None:
    project.store.move(
        [
            Move(cell=cell, to=State.LABELLED, path=f"labels/{cell.task}", digest="d", cost=2.0)
            for cell in cells
        ]
    )


def counted(
    missing: int, requested: int, labelled: int, skipped: int, spent: float
) -> dict[str, float]:
    return {
        "missing": missing, "requested": requested, "labelled": labelled, "skipped": skipped, "spent": spent
    }  # fmt: skip


def test_cells_are_counted_by_task_and_state_and_the_held_out_ones_apart(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "flat", data, splits={data.names[0]: "heldout"}) as project:
        held, first, second = (
            [Cell(name, task) for task in ("semseg", "depth")] for name in data.names
        )
        ask(project, [first[0], first[1], second[1]], number=1)
        project.store.move(
            [
                Move(cell=first[1], to=State.SKIPPED, cost=0.5),
                Move(cell=second[1], to=State.LABELLED, path="p", cost=3),
            ]
        )
        label(project, held[0])
        assert status_of(project) == {
            "images": 3,
            "heldout_images": 1,
            "set_aside": {},
            "camera": None,
            "unknown_splits": "",
            "spent": 5.5,
            "suppliers": {},
            "removed": {"images": 0, "tasks": []},
            "costs": "declared",
            "tasks": {
                "semseg": {
                    "kind": "semseg",
                    **counted(1, 1, labelled=1, skipped=0, spent=2.0),
                    "times": None,
                },
                "depth": {
                    "kind": "depth",
                    **counted(1, 0, labelled=1, skipped=1, spent=3.5),
                    "times": None,
                },
            },
            "heldout": {
                "semseg": counted(0, 0, labelled=1, skipped=0, spent=2.0),
                "depth": counted(1, 0, labelled=0, skipped=0, spent=0.0),
            },
            "rounds": [
                {"round": 1, "strategy": "", "budget": 0.0, "unit": "labels", "state": "closed"}
            ],
            "headlines": [],
            "next": f"labelgrid export {tmp_path}/flat, then labelgrid import {tmp_path}/flat with the labels",
        }


def test_the_next_command_follows_the_way_of_a_round(project: ProjectFolder, data: Made) -> None:
    cells, folder = cells_of(data), project.folder
    assert status_of(project)["next"] == f"labelgrid query {folder} --budget 6"
    ask(project, cells[:2], number=1)
    assert status_of(project)["next"].startswith(
        f"labelgrid export {folder}, then labelgrid import {folder}"
    )
    project.store.move(
        [Move(cell=cell, to=State.LABELLED, path="p", cost=1.0) for cell in cells[:2]]
    )
    assert status_of(project)["next"] == f"labelgrid fit {folder}"
    row = project.store.open_round()
    record = project.round_folder(row.number) / "fit.json"
    record.parent.mkdir(parents=True)
    done = Fit(
        round=row.number,
        checkpoint="last.ckpt",
        model="m",
        recipe={},
        seed=0,
        trained=["depth"],
        images=1,
        labels={"depth": 1},
        spent=1.0,
    )
    record.write_text(json.dumps(asdict(done)))
    assert status_of(project)["next"] == f"labelgrid query {folder} --budget 4"
    label(project, *cells[2:])
    assert status_of(project)["next"] == f"labelgrid report {folder} (every cell has an answer)"
    record.unlink()
    assert status_of(project)["next"] == f"labelgrid fit {folder}"


@pytest.mark.parametrize("split", ["heldout", "val", "test"])
def test_only_images_to_learn_from_can_be_queried(data: Made, tmp_path: Path, split: str) -> None:
    with make_project(tmp_path / "flat", data, splits={data.names[0]: split}) as project:  # type: ignore[dict-item]
        label(project, *(cell for cell in cells_of(data) if cell.image_id != data.names[0]))
        assert status_of(project)["tasks"]["depth"]["missing"] == 1
        assert status_of(project)["next"] == f"labelgrid fit {project.folder}"


def test_what_was_spent_on_a_dropped_task_counts(project: ProjectFolder, data: Made) -> None:
    label(project, *(Cell(data.names[0], task) for task in ("semseg", "depth")))
    drop_task(project, "depth")
    values = status_of(project)
    assert (values["spent"], values["tasks"]["semseg"]["spent"]) == (4.0, 2.0)
    (part,) = project_report(project).parts
    numbers = cells_figure(part, "cells").numbers
    assert (
        numbers.rows[-1][0] == "dropped tasks"
        and numbers.rows[-1][-2] == 2.0
        and numbers.foot[-2] == 4.0
    )


def test_commands_of_a_project_in_any_folder_can_be_pasted(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "it's my flat", data) as project:
        label(project, cells_of(data)[0])
        assert shlex.split(status_of(project)["next"]) == ["labelgrid", "fit", str(project.folder)]
        (data.images / data.names[1]).unlink()
        with pytest.raises(ImageError) as caught:
            usable_images(project, [data.names[1]], Silent())
        with pytest.raises(ProjectError) as closed:
            ProjectFolder.open(tmp_path / "my flat")
        for error, folder in ((caught.value, project.folder), (closed.value, tmp_path / "my flat")):
            (hint,) = re.findall("`([^`]*)`", error.next_step)
            assert shlex.split(hint)[2] == str(folder)


SLOW = {"alembic", "cv2", "matplotlib", "multiprocessing", "PIL", "scipy", "torch"}
LOADED = """
import atexit, sys
from labelgrid.cli import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""


def loaded_by(*words: object) -> set[str]:
    """The modules that a command loads."""
    line = [sys.executable, "-c", LOADED, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_commands_that_only_show_load_no_library_that_they_do_not_need(
    tmp_path: Path, data: Made
) -> None:
    with make_project(tmp_path / "flat", data) as project:
        folder = project.folder
    status = SLOW | {"numpy", "psycopg", "sqlalchemy.dialects.postgresql"}
    listing = status | {"sqlalchemy"}
    help_ = listing | {"pydantic"}
    assert not help_ & loaded_by("--help")
    assert not listing & loaded_by("list")
    assert not status & loaded_by("status", folder)


def test_a_command_looks_for_no_plug_ins_of_pydantic(
    tmp_path: Path, data: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_project(tmp_path / "flat", data) as project:
        folder = project.folder
    package = tmp_path / "other-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: other\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[pydantic]\nother = other_of_nobody\n")
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{path}")
    line = [sys.executable, "-m", "labelgrid", "status", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert not done.stderr
