"""A person asks whether the picks pay: a table and a sentence, the same as JSON, and nothing else changes."""

import json
from pathlib import Path

from tests.e2e.commands import done, refused
from tests.rounds import with_control


def test_the_answer_is_printed_with_its_numbers_and_is_the_same_as_json(tmp_path: Path) -> None:
    project, _ = with_control(tmp_path)
    flat = project.folder
    with project:
        before = [event.id for event in project.store.events()]
    assert "no difference can be seen" in refused(flat, "control", flat, "--seeds", 5, code=2)
    asked = json.loads(done("control", flat, "--json").out)
    printed = done("control", flat)
    assert "Training" not in printed.err  # all are kept
    answers = {"pay": "The picks pay: ", "cost": "The picks cost: ", "cannot tell": "Cannot tell: "}
    assert asked["text"].startswith(answers[asked["answer"]])
    assert printed.out.splitlines()[-1] == asked["text"]
    assert [row["name"] for row in asked["measures"]] == ["loss_mtl", "semseg", "depth"]
    assert all(len(row["picks"]) == len(row["control"]) == 6 for row in asked["measures"])
    assert "semseg mIoU" in printed.out and "depth RMSE" in printed.out
    with project.open(flat) as after:
        assert [event.id for event in after.store.events()] == before
    assert sorted(path.name for path in flat.glob("rounds/*")) == ["0001", "0002", "0003"]
