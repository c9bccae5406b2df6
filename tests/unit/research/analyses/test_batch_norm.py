"""Batch norm's kept and measured statistics."""

from pathlib import Path

import pytest
import torch
from torch import nn

from labelgrid.basics.errors import LabelgridError
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.runs import Run
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit, read_measurement
from labelgrid.rounds.context import labelled_images
from labelgrid.rounds.models import restore
from labelgrid.train.batch_norm import norms_of
from research.analyses import batch_norm
from tests.unit.drawings.test_charts import texts
from tests.unit.lab.simulation.finished import SIMULATE, TASKS, finished_study

ARMS = """
[simulate.arms.a]
strategy = "random_cells"
rounds = 0
[simulate.arms.b]
strategy = "random_cells"
rounds = 0
changes = { train = { norm = "frozen" } }
"""


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    single = SIMULATE.replace("full = false", "full = false\nsingle = true")
    return finished_study(tmp_path_factory.mktemp("learnt"), single + ARMS)


def test_each_network_is_measured_with_both_statistics(learnt, tmp_path: Path) -> None:
    result = analyse(learnt.folder, "research.analyses.batch_norm:build", tmp_path, {"batch": 2})
    found = {(f.run.key, *f.keys.values(), f.result.name): f.result.value for f in result.findings}
    single = {f"single.{task}-seed0" for task in TASKS}
    assert len(found) == len(result.findings) and {key for key, *_ in found} == {
        "a-seed0",
        "b-seed0",
        *single,
    }
    for key in ("a-seed0", "b-seed0"):
        with ProjectFolder.open(learnt.folder / "runs" / key) as project:
            kept = read_measurement(project.round_folder(newest_fit(project.folder).round))
        assert found[key, "kept", "all", "loss_mtl"] == pytest.approx(kept.loss_mtl)
        assert found[key, "kept", "depth", "RMSE"] == pytest.approx(
            kept.metrics["depth"]["RMSE"].value
        )
        assert found[key, "measured", "all", "loss_mtl"] != found[key, "kept", "all", "loss_mtl"]
        assert found[key, "kept", "all", "largest offset"] > 0
    written = texts((tmp_path / "batch_norm-all-loss_mtl.svg").read_bytes())
    assert {"kept", "measured", "a", "b"} <= set(written)


def test_the_statistics_of_a_frozen_encoder_stay(learnt, monkeypatch) -> None:
    restored = []

    def kept(project, fit):
        context, model = restore(project, fit)
        restored.append(
            (
                model.network,
                {name: value.clone() for name, value in model.network.state_dict().items()},
            )
        )
        return context, model

    monkeypatch.setattr(batch_norm, "restore", kept)
    result = analyse(
        learnt.folder, "research.analyses.batch_norm:build", options={"batch": 2}, strategies=["b"]
    )
    assert result.findings[0].run.key == "b-seed0"
    network, before = restored[0]
    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed and not any(name.startswith("encoder.") for name in changed)


def test_an_arm_is_analysed_with_its_single_task_networks(learnt) -> None:
    for name in ("a", "b"):
        found = {
            finding.run.key
            for finding in analyse(
                learnt.folder, "research.analyses.batch_norm:build", strategies=[name]
            ).findings
        }
        assert found == {f"{name}-seed0", *(f"single.{task}-seed0" for task in TASKS)}


def test_the_loss_of_a_single_task_is_left_out(learnt) -> None:
    with ProjectFolder.open(learnt.folder / "runs" / "a-seed0") as project:
        network = restore(project, newest_fit(project.folder))
        for kind, loss in (("single", False), ("strategy", True)):
            found = [
                each.result.name
                for each in batch_norm._metrics(
                    Run(kind=kind, name="a", seed=0), "kept", project, *network
                )
            ]
            assert "RMSE" in found and ("loss_mtl" in found) is loss


def test_the_images_fill_whole_batches(learnt) -> None:
    run = Run(kind="strategy", name="a", seed=0)
    with ProjectFolder.open(learnt.folder / "runs" / "a-seed0") as project:
        for images, batch, count in ((1024, 2, 2), (2, 1, 2), (1024, 32, 3)):
            found = batch_norm.BatchNorm(batch_norm.Options(images))._images(run, project, batch)
            assert len(set(found)) == len(found) == count
            assert set(found) <= set(labelled_images(project, "train"))


def test_measured_statistics_are_means_over_batches_in_which_earlier_layers_normalise_as_in_training() -> (
    None
):
    torch.manual_seed(0)
    first, last = nn.BatchNorm2d(3), nn.BatchNorm2d(2)
    network = (
        nn.Sequential(first, nn.Dropout(0.9), nn.Conv2d(3, 2, 1), nn.ReLU(), last).double().train()
    )
    network(torch.rand(4, 3, 5, 5).double() + 7)  # what is forgotten
    batches = [torch.randn(4, 3, 5, 5).double() for _ in range(3)]
    with batch_norm.recompute_statistics(network, norms_of(network)), torch.no_grad():
        for batch in batches:
            network(batch)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for batch in batches:
        each = batch - batch.mean((0, 2, 3), keepdim=True)
        each /= (batch.var((0, 2, 3), keepdim=True, correction=0) + first.eps).sqrt()
        x = torch.relu(network[2](each)).detach()
        seen.append((x.mean((0, 2, 3)), x.var((0, 2, 3))))
    torch.testing.assert_close(
        first.running_mean, sum(batch.mean((0, 2, 3)) for batch in batches) / 3
    )
    torch.testing.assert_close(last.running_mean, sum(mean for mean, _ in seen) / 3)
    torch.testing.assert_close(last.running_var, sum(variance for _, variance in seen) / 3)
    assert not any(module.training for module in network.modules()) and last.momentum == 0.1


def test_an_analysis_of_networks_without_batch_norm_says_so(
    learnt, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(batch_norm, "norms_of", lambda network, frozen: [])
    with pytest.raises(LabelgridError, match="a network with batch norm"):
        analyse(learnt.folder, "research.analyses.batch_norm:build", tmp_path, {})


def test_the_largest_offset_is_over_layers_channels_and_images() -> None:
    norms = [nn.BatchNorm2d(2).eval(), nn.BatchNorm2d(2).eval()]
    norms[1].running_var.fill_(4.0)
    with batch_norm.largest_offset(norms) as offset:
        norms[0](torch.tensor([[1.0, 2.0], [0.0, -3.0]]).view(2, 2, 1, 1))
        norms[1](torch.tensor([[0.0, 10.0]]).view(1, 2, 1, 1))
    norms[0](torch.full((1, 2, 1, 1), 100.0))
    assert float(offset) == pytest.approx(5, rel=1e-4)


def test_the_largest_offset_is_nan_if_one_is() -> None:
    norms = [nn.BatchNorm1d(2).eval(), nn.BatchNorm2d(1).eval()]
    norms[0].running_mean[0] = float("nan")
    with batch_norm.largest_offset(norms) as offset:
        norms[0](torch.tensor([[1.0, 2.0]]))
        norms[1](torch.full((1, 1, 2, 2), 300.0))
    assert offset.isnan()
