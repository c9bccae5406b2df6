"""Laws of every kind of task: each plug-in of labelgrid/tasks/kinds, and the example in examples/."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from labelgrid.basics import plugins
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef
from labelgrid.testing.kinds import LAWS, KindCase
from labelgrid.testing.worlds import disparity, views_show_the_world
from tests.contracts import own

COVERS = ["labelgrid.testing.kinds", "labelgrid.testing.worlds"]
EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = "inverse_depth_task:build"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", [*plugins.names("kinds"), OWN])
def test_a_kind_keeps(
    law: Callable[[KindCase], None], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    law(KindCase(kind, tmp_path, own.declared("kinds", kind, "TRUTH")))


def test_a_disparity_grows_where_depth_falls() -> None:
    views_show_the_world(
        TaskDef.of(TaskRow("stereo", "depth", 1.0, {"disparity": True})), disparity
    )


def test_the_plain_data_of_all_kinds_and_their_pictures_load_no_torch() -> None:
    code = (
        "import sys; from labelgrid.basics import plugins; from labelgrid.tasks.task import spec_of; "
        "import labelgrid.tasks.pictures; "
        f"print(len([spec_of(kind) for kind in [*plugins.names('kinds'), {OWN!r}]]), 'torch' in sys.modules)"
    )
    path = [str(EXAMPLES), *sys.path]
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(len(plugins.names("kinds")) + 1), "False"]


def test_the_example_kind_counts_an_error_the_more_the_nearer_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    task = TaskDef.of(TaskRow("mine", OWN, 1.0)).build()
    raw = torch.zeros(1, 1, 1, 2)
    metres = task.activate(raw)
    target = Target(metres + torch.tensor([0.5, 5.0]), torch.ones(1, 1, 1, 2, dtype=torch.bool))
    near, far = task.pixel_loss(raw, target).flatten()
    assert near > 0.1 * 2 * far
