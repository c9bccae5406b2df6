"""Each example works in a real campaign."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.tasks.task import TaskDef, build_all, definitions
from tests.projects import RECIPE
from tests.support import CLASSES, make_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in ("cheapest_strategy", "deep_heads_network", "from_python"):
        sys.modules.pop(name, None)


def test_the_loop_from_python_with_a_strategy_and_a_network_of_ones_own(tmp_path):
    import from_python

    made = make_dataset(tmp_path / "made", n=10, size=(32, 64), tasks=("semseg", "depth"))
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    recipe = RECIPE.replace(
        "[network]\noptions = { width = 16, dropout = 0.2 }",
        '[network]\nname = "deep_heads_network:build"',
    )
    (tmp_path / "tiny.toml").write_text(recipe)
    rows = {row.name: TaskDef.of(row) for row in made.rows}

    def answer(request):
        for item in json.loads((request / "manifest.json").read_text()):
            path, task = request / item["path"], rows[item["task"]]
            path.parent.mkdir(parents=True, exist_ok=True)
            task.write(path, task.read(made.label(item["image"], item["task"])))

    tasks = [f"semseg:{tmp_path / 'classes.txt'},cost=10", "depth:cost=1"]
    settings = {"recipe": str(tmp_path / "tiny.toml"), "strategy": "cheapest_strategy:build"}
    report = from_python.campaign(tmp_path / "flat", made.images, tasks, answer, **settings)
    assert report.stat().st_size > 10_000
    with ProjectFolder.open(tmp_path / "flat") as project:
        assert newest_fit(project.folder).round == 3
        picks = json.loads((project.round_folder(2) / "picks.json").read_text())
        assert [pick["task"] for pick in picks[:3]] == ["depth"] * 3  # the cheap labels first
        assert [row.strategy for row in project.store.rounds()][:2] == [
            "random_images",
            "cheapest_strategy:build",
        ]


def test_the_loop_from_python_needs_the_public_face_alone():
    lines = (EXAMPLES / "from_python.py").read_text().splitlines()
    assert [line for line in lines if "labelgrid" in line and "import" in line] == [
        "import labelgrid"
    ]


def test_the_network_of_ones_own_keeps_the_laws_that_matter():
    import deep_heads_network

    tasks = build_all(definitions([TaskRow("depth", "depth", 1), TaskRow("normals", "normals", 1)]))
    encoder = partial(Encoder, BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=8))
    network = deep_heads_network.build(tasks, encoder, deep_heads_network.Options()).eval()
    output = network(torch.zeros(1, 3, 32, 64))
    again = network.predict(output.task_features)
    assert all(torch.equal(output.final[name], again[name]) for name in tasks)
