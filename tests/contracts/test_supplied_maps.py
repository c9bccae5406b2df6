"""Maps that are true up to a scale reach the supervised loss, and nothing else."""

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics import plugins
from labelgrid.basics.processes import TOGETHER
from labelgrid.basics.progress import Silent
from labelgrid.data.dataset import WrappedImages
from labelgrid.formats.codec import LabelArray, Unsure, UpTo
from labelgrid.tasks.task import TaskDef
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.crop_boxes import crop_at_random
from labelgrid.train.group import join_group
from labelgrid.train.mixed_images import mix_images
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.step_draws import Draws
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from labelgrid.train.trainer import Trainer
from tests.started import Started
from tests.support import Made, make_dataset
from tests.toys import toy_plan

QUICK = TrainOptions(epochs=1, batch=4, learning_rate=1e-3, device="cpu")
UP_TO = UpTo(shift=True, inverse=True, spread=1.5, least=0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("data")
    return make_dataset(folder, n=8, size=(32, 64), tasks=("depth", "normals"))


@dataclass(frozen=True, eq=False)
class Relative(WrappedImages):
    """The depth of every second image is known up to a scale and a shift of its inverse."""

    source: Any
    scale: float = 1.0
    shift: float = 0.0

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        label = self.source.label(image_id, task)
        if label is None or task.name != "depth" or int(image_id[3]) % 2:
            return label
        inverse = self.scale / np.maximum(label.value, 0.1) + self.shift
        return replace(label, value=inverse.astype(np.float32), unsure=Unsure(up_to=UP_TO))

    def weight(self, image_id: str, task: str) -> float:
        return 0.5 if task == "depth" and not int(image_id[3]) % 2 else 1.0


def plan_of(data: Made, options: TrainOptions = QUICK, scale: float = 1, shift: float = 0) -> Plan:
    plan = toy_plan(data, options)
    return replace(plan, source=Relative(plan.source, scale, shift))


def is_relative(ids: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([not int(image_id[3]) % 2 for image_id in ids])


def batches(plan: Plan) -> Iterator[Any]:
    trainer = Trainer(plan)
    yield from trainer._batches(0)


def test_a_batch_has_such_a_map_beside_its_targets(data: Made) -> None:
    for batch in batches(plan_of(data)):
        relative = is_relative(batch.ids)
        assert torch.equal(batch.targets["depth"].present, ~relative)
        assert torch.equal(batch.supplied["depth"].present, relative)
        assert batch.targets["normals"].present.all() and "normals" not in batch.supplied


def test_it_weighs_by_its_trust_and_is_counted_as_a_label(data: Made) -> None:
    plan = plan_of(data)
    seen: list[TaskLosses] = []
    backward = plan.balancer.backward

    def noting(step: TaskLosses) -> torch.Tensor:
        seen.append(step)
        return backward(step)

    plan.balancer.backward = noting  # type: ignore[method-assign]
    trainer = Trainer(plan)
    for index, batch in enumerate(batches(plan)):
        losses, present, _ = trainer.train_step(batch, index)
        relative = is_relative(batch.ids)
        assert present.all()
        assert (losses["depth"] > 0).all()
        weights = torch.where(relative, 0.5, 1.0)
        torch.testing.assert_close(seen[-1].losses["depth"], losses["depth"] * weights)


@pytest.mark.parametrize("name", ["mgda", "uncertainty", "dwa", "gradnorm"])
def test_every_balancer_takes_such_rows(data: Made, name: str) -> None:
    plan = plan_of(data)
    module = plugins.module("balance", name)
    weights = fixed_weights(plan.tasks, ObjectiveOptions())
    reduce = partial(supervised_loss, reduction="image_mean")
    plan = replace(plan, balancer=module.build(weights, reduce, module.Options()))
    trainer = Trainer(plan)
    trainer.run_epoch(Silent())
    assert all(value.isfinite().all() for value in plan.network.parameters())


def test_a_scale_and_a_shift_of_the_map_change_no_loss(data: Made) -> None:
    found = []
    for scale, shift in ((1.0, 0.0), (7.0, 3.0)):
        torch.manual_seed(0)
        plan = plan_of(data, scale=scale, shift=shift)
        trainer = Trainer(plan)
        batch = next(batches(plan))
        found.append(trainer.train_step(batch, 0)[0]["depth"].detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def step_of_share(data: Made, found: Path) -> None:
    """Do a step with this process's share of the images, and keep its losses and gradients."""
    torch.manual_seed(0)
    plan = plan_of(data, replace(QUICK, batch=8))
    (batch, *_) = batches(plan)
    with join_group() as group:
        share = batch.rows(group.own_rows(len(batch.ids)))
        assert is_relative(share.ids).any() and not is_relative(share.ids).all()
        trainer = Trainer(plan, group)
        trainer.network.eval()  # batch norm is of each process's images
        losses, present, _ = trainer.train_step(share, 0, batch.ids)
    gradients = [value.grad for value in plan.network.parameters() if value.grad is not None]
    torch.save([losses["depth"].detach(), present, *gradients], found)


def test_two_processes_do_the_step_of_one(data: Made, tmp_path: Path) -> None:
    step_of_share(data, tmp_path / "alone")
    (tmp_path / "data").write_bytes(pickle.dumps(data))
    code = "import pathlib, pickle, sys; "
    code += "from tests.contracts.test_supplied_maps import step_of_share; "
    code += "step_of_share(pickle.loads(pathlib.Path(sys.argv[2]).read_bytes()), sys.argv[1])"
    shared = {**os.environ, "WORLD_SIZE": "2", TOGETHER: str(tmp_path), "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        processes = []
        for rank in ("0", "1"):
            words = (sys.executable, "-c", code, tmp_path / rank, tmp_path / "data")
            processes.append(stack.enter_context(Started(*words, env={**shared, "RANK": rank})))
        assert [process.wait() for process in processes] == [0, 0]
    expected = torch.load(tmp_path / "alone")
    for rank in ("0", "1"):
        torch.testing.assert_close(torch.load(tmp_path / rank), expected, rtol=1e-4, atol=1e-6)


def test_it_is_never_fed_in_as_known(data: Made) -> None:
    plan = plan_of(data, replace(QUICK, known=1.0))
    seen = []
    plan.network.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    trainer = Trainer(plan)
    for index, batch in enumerate(batches(plan)):
        trainer.train_step(batch, index)
        assert torch.equal(seen[-1]["depth"].present, ~is_relative(batch.ids))


def test_terms_and_crops_do_not_read_it(data: Made) -> None:
    plan = plan_of(data)
    batch = next(batches(plan))
    draws = Draws(seed=0, step=0, ids=batch.ids, pool=batch.ids, load=lambda ids, seed: batch)
    crops = crop_at_random(batch, plan.tasks, draws, (1.0, 2.0))
    assert not crops.supplied


def test_a_mixed_image_has_no_such_map_and_others_keep_theirs(data: Made) -> None:
    options = replace(QUICK, mix="cut", mix_share=0.5)
    plan = plan_of(data)
    batch = next(batches(plan))
    rng = np.random.default_rng(0)
    mixed = mix_images(batch, plan.tasks, options, lambda _: rng)
    before = batch.supplied["depth"]
    after = mixed.supplied["depth"]
    changed = (mixed.images != batch.images).flatten(1).any(1)
    assert torch.equal(after.present, before.present & ~changed)
    assert changed.any() and not changed.all()
