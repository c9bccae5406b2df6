"""A network of three scales in one file keeps the laws of networks and goes through a killed round."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.rounds import predict
from labelgrid.testing.networks import LAWS, TASKS, Law, images, known, made
from labelgrid.train.objective import task_losses
from tests.plugins import three_scale
from tests.projects import answer, make_project
from tests.stopping import round_of

CHANGES = {
    "network": {"name": "tests.plugins.three_scale:build", "options": {"width": 8}},
    "train": {"epochs": 3, "norm": "frozen"},
    "score": {"dropout": {"where": "heads", "passes": 3}},
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_network_of_three_scales_keeps_the_law(law: Law) -> None:
    law(partial(made, three_scale.build, three_scale.Options()))


def test_three_scales_are_summed_in_training() -> None:
    network, targets = made(three_scale.build, three_scale.Options()), known(True, False)
    output = network(images())
    assert [scale["depth"].shape[-1] for scale in output.initial] == [16, 8, 4]
    whole = task_losses(TASKS, output, targets, 0.5)
    final = task_losses(TASKS, output, targets, 0.0)
    one = [
        task_losses(TASKS, replace(output, initial=(scale,)), targets, 0.5)
        for scale in output.initial
    ]
    for name in TASKS:
        torch.testing.assert_close(
            whole[name], final[name] + sum(part[name] - final[name] for part in one)
        )


def test_a_round_of_three_scales_killed_in_its_training_is_the_round_that_was_not(
    tmp_path: Path,
) -> None:
    results = []
    for name, kill in (("killed", 2), ("whole", 0)):
        (tmp_path / name).mkdir()
        project, dataset = make_project(tmp_path / name, tasks=("semseg", "depth"))
        with project:
            done, picks = round_of(
                project, lambda p, dataset=dataset: answer(p, dataset), CHANGES, kill
            )
            out = tmp_path / name / "out"
            assert predict.predict(
                project, dataset.images, out=out, known_labels=dataset.labels, progress=Silent()
            ) == 2 * len(dataset.names)
            written = {
                path.relative_to(out).as_posix(): path.read_bytes()
                for path in sorted(out.rglob("*.png"))
            }
            results.append((done.model, picks, written))
            log = (project.round_folder(done.round) / "fit" / "log.jsonl").read_text().splitlines()
            assert [json.loads(line)["epoch"] for line in log] == [1, 2, 3]
    assert results[0] == results[1]
