"""A live campaign with relations, as examples/related_campaign.py runs it."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import done, status
from tests.projects import RECIPE
from tests.support import CLASSES, make_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
TASKS = ("semseg", "depth", "normals", "edges")
PAIRS, ROUNDS, BUDGET, HELD = 4, 2, 4, 2


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the example after its rounds."""
    folder = tmp_path_factory.mktemp("related")
    made = make_dataset(folder / "data", n=16, size=(96, 128), tasks=TASKS)
    (made.root / "classes.txt").write_text("\n".join(CLASSES))
    (made.root / "tiny.toml").write_text(RECIPE)
    words = {
        "data": "folder",
        "root": made.root,
        "classes": made.root / "classes.txt",
        "recipe": made.root / "tiny.toml",
        "out": folder / "flat",
        "frames": 16,
        "holdout": HELD,
        "pairs": PAIRS,
        "rounds": ROUNDS,
        "budget": BUDGET,
        "epochs": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        example = runpy.run_path(str(EXAMPLES / "related_campaign.py"))
        typed = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        patch.setattr(sys, "argv", ["related_campaign.py", *typed])
        patch.setitem(example["main"].__globals__, "run", done)  # in this process, which is faster
        example["main"]()
    return folder / "flat"


def test_a_round_buys_what_does_not_follow_rather_than_what_does(flat: Path) -> None:
    bought = {}
    for name, task in status(flat)["tasks"].items():
        bought[name] = task["labelled"] - PAIRS - HELD
    assert sum(bought.values()) == ROUNDS * BUDGET
    assert bought["semseg"] + bought["depth"] > bought["normals"] + bought["edges"]


def test_what_follows_is_learned_and_said_with_what_it_saved(flat: Path) -> None:
    tasks = status(flat)["tasks"]
    assert tasks["normals"]["derived"] > 0
    assert tasks["normals"]["saved"] == tasks["normals"]["derived"]
    said = " ".join(done("status", flat).out.split())
    assert "from others of the image, worth" in said
    fit = json.loads((flat / "rounds" / f"{ROUNDS + 1:04d}" / "fit.json").read_text())
    assert 0 < fit["filled"]["normals"] <= tasks["normals"]["derived"]  # some images only choose
    assert "derived" in (flat / "report.html").read_text()
