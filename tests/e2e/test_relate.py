"""A project of rooms that measures a relation, writes its trust and its camera, and trains by it."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.executors.places import slurm
from labelgrid.lab.scenes.rooms import FOV
from labelgrid.tasks.task import definitions
from tests.e2e.commands import done
from tests.rooms import room_labels
from tests.support import task_rows

SIZE = (96, 128)


def test_relate_finds_the_camera_of_rooms_and_a_fit_uses_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = definitions(list(task_rows(("depth", "normals"))))
    for index in range(9):
        name = f"{index}.png"
        for task in tasks if index < 5 else ("depth",):
            path = tmp_path / "labels" / task / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tasks[task].write(path, room_labels(index, SIZE)[task])
        image = np.random.default_rng(index).integers(0, 255, (*SIZE, 3), np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / name), image)
    recipe = tmp_path / "tiny.toml"
    shutil.copy(Path(__file__).parents[1] / "tiny.toml", recipe)
    flat = tmp_path / "flat"
    words = ["--task", "depth", "--task", "normals", "--recipe", recipe]
    done("init", flat, "--images", tmp_path / "images", *words)
    done("import", flat, tmp_path / "labels", "--accept")
    related = json.loads(done("relate", flat, "--json").out)
    assert not related["written"] and not (flat / "camera.toml").exists()
    (row,) = related["relations"]
    assert row["sample"] == "5 images imported, not picked" and row["trust"] > 0.8
    assert row["field_of_view"] == pytest.approx(FOV, rel=0.02)
    with monkeypatch.context() as task:
        task.setenv(slurm.NUMBER, "0")
        task.setenv(slurm.COUNT, "2")
        share = done("relate", flat, "--on", "slurm", "--write")
        assert not share.out and "Share 1 of 2 is done." in share.err
        named = json.loads(done("relate", flat, "--on", "slurm", "--json").out)
        assert named == {"share": {"index": 0, "count": 2}}
    assert json.loads(done("relate", flat, "--workers", 2, "--json").out) == related
    said = done("relate", flat, "--write").out
    assert "Written:" in said and f"field_of_view = {row['field_of_view']}" in said
    done("fit", flat)
    fit = json.loads((flat / "rounds" / "0001" / "fit.json").read_text())
    assert fit["recipe"]["relations"]["depth_normals"]["trust"] == row["trust"]
    settings = flat / "labelgrid.toml"
    other = "options = { radius = 11, residual = 45.0 }"
    settings.write_text(re.sub(r"options = \{ .radius.*", other, settings.read_text()))
    said = done("relate", flat).out
    assert "as declared" in said and "radius = 11, residual = 45.0" in said
    assert other in settings.read_text()
