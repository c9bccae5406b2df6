"""The history of a campaign: its trainings in order, with the metrics of the epoch that counts."""

import json
from pathlib import Path

from labelgrid.project.records import Fit, write_fit
from labelgrid.rounds.training_history import training_history


def test_a_campaigns_history_is_empty_before_its_first_training(tmp_path: Path) -> None:
    assert training_history(tmp_path) == ()


def test_trainings_are_told_in_order_with_what_they_measured_on_val_images(tmp_path: Path) -> None:
    for number, labels in ((2, 8), (1, 4)):
        folder = tmp_path / "rounds" / f"{number:04d}"
        (folder / "fit").mkdir(parents=True)
        fit = Fit(
            round=number,
            checkpoint=f"rounds/{number:04d}/fit/last.ckpt",
            model="",
            recipe={},
            seed=0,
            trained=["depth"],
            images=labels,
            labels={"depth": labels},
            spent=2.0 * labels,
            derived={"normals": 1.5},
        )
        write_fit(folder, fit)
        line = {"epoch": 1, "loss": {}, "val": {"loss_mtl": 1.0 / number}}
        (folder / "fit" / "log.jsonl").write_text(json.dumps(line))
    first, second = training_history(tmp_path)
    assert (first.round, second.round) == (1, 2)
    assert (second.labels, second.derived) == ({"depth": 8}, {"normals": 1.5})
    assert (second.cost, second.val) == (16.0, {"loss_mtl": 0.5})
