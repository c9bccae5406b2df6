"""A campaign with networks that label for nothing, as examples/free_labels.py runs it."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import done, status
from tests.models import class_model, depth_model, grade_model
from tests.projects import RECIPE
from tests.support import CLASSES, make_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
TASKS = ("semseg", "depth", "edges")


def test_networks_label_are_measured_and_trained_on_as_far_as_they_earn(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data", n=18, size=(96, 128), tasks=TASKS)
    (made.root / "classes.txt").write_text("\n".join(CLASSES))
    (made.root / "tiny.toml").write_text(RECIPE)
    models = tmp_path / "models"
    depth_model(models)
    grade_model(models)
    class_model(models, [*CLASSES[:2], "tvmonitor"])
    words = {
        "models": models,
        "data": made.root,
        "layout": "folder",
        "classes": made.root / "classes.txt",
        "recipe": made.root / "tiny.toml",
        "out": tmp_path / "free",
        "frames": 18,
        "holdout": 2,
        "rounds": 1,
        "budget": 4,
        "epochs": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        example = runpy.run_path(str(EXAMPLES / "free_labels.py"))
        patch.setitem(example["MEANINGS"], "tvmonitor", CLASSES[2])
        typed = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        patch.setattr(sys, "argv", ["free_labels.py", *typed])
        patch.setitem(example["main"].__globals__, "run", done)
        example["main"]()
    suppliers = status(tmp_path / "free")["suppliers"]
    assert set(suppliers) == {"classes", "depth", "edges"}
    assert all(next(iter(of["labels"].values())) > 0 for of in suppliers.values())
    measured = {name: of["measured"] for name, of in suppliers.items()}
    assert measured["depth"] and measured["edges"]
    assert all(0 <= trust < 1 for of in measured.values() for trust in of.values())
