"""The committee of pairwise blocks: its members, what it compares, and its training."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Silent
from labelgrid.data.frame import Frame
from labelgrid.nets.network import Features, Output
from labelgrid.nets.networks import mti_net
from labelgrid.score import training
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import PoolBatch
from labelgrid.score.statistics.committee import Block, Committee, Options, initial_predictions
from labelgrid.tasks.task import build_all, definitions
from labelgrid.testing.networks import TASKS, images, made
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.plugins import three_scale
from tests.slow_layers import convolved, normalised
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

DEPTH = TASKS["depth"]
FRAME = Frame((64, 64), (8, 8), (slice(0, 4), slice(0, 8)))  # the lower half is padding


class HandMade(nn.Module):
    """A network of two stages whose predictions are constant maps, and 100 in the padding."""

    def __init__(self, initial, final, side=4):
        super().__init__()
        self.values, self.side, self.decoded = (initial, final), side, 0

    def decode(self, features, known=None):
        self.decoded += 1
        initial, final = (
            {n: self.map(v, features, side) for n, v in values.items()}
            for values, side in zip(self.values, (4, self.side), strict=True)
        )
        return Output(
            initial=(initial, {}),
            final=final,
            features=features,
            task_features={},
            initial_features=(initial, {}),
        )

    def map(self, value, features, side):
        maps = torch.full((len(features.shared), 1, side, side), float(value))
        maps[:, :, side // 2 :] = 100
        return maps


class Adds(nn.Module):
    """A block that adds a number to each of two predictions."""

    def __init__(self, **numbers):
        super().__init__()
        self.numbers = numbers

    def forward(self, initial):
        refined = {}
        for name, number in self.numbers.items():
            refined[name] = initial[name].clone()
            refined[name][:, :, :2] += number
        return refined


def pool_batch(network, tasks, b=2):
    shared = torch.zeros(b, 1, 1, 1)
    keys = np.arange(b, dtype=np.uint64)
    batch = SimpleNamespace(ids=tuple("ab"[:b]), frames=(FRAME,) * b, targets={})
    return PoolBatch(
        batch=batch,
        keys=keys,
        features=Features(shared, (shared,)),
        model=TrainedModel(network=network),
        tasks=tasks,
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [2, 1, 3]),
        ({"combine": "mean"}, [1.25, 0.5, 1.625]),
        ({"combine": "min"}, [0.5, 0, 0.25]),
        ({"own": True}, [4, 1, 3]),
        ({"own": True, "combine": "mean"}, [6.5 / 3, 1 / 3, 3.25 / 3]),
    ],
)
def test_a_hand_made_committee_has_the_known_answer(options, expected):
    tasks = {name: replace(DEPTH, name=name) for name in "abc"}
    network = HandMade({"a": 1, "b": 2, "c": 3}, {"a": 5, "b": 2, "c": 3})
    committee = Committee(Options(**options))
    committee.blocks.extend([Adds(a=0.5, b=-1), Adds(a=2, c=3), Adds(b=0, c=-0.25)])
    batch = pool_batch(network, tasks)
    np.testing.assert_allclose(committee(batch), [expected] * 2, rtol=1e-6)
    assert network.decoded == 1  # one pass, whatever is read


@pytest.mark.parametrize(("divergence", "gap"), [("kl", np.log(2)), ("js", 0.215762)])
def test_classes_are_compared_by_the_chosen_divergence(divergence, gap):
    tasks = {name: replace(TASKS["edges"], name=name) for name in "ab"}
    network = HandMade({"a": 0, "b": 0}, {})
    committee = Committee(Options(divergence=divergence))
    committee.blocks.append(
        Adds(a=40, b=-0.5)
    )  # from one half to certain; the other stays, as a raw output of 0
    np.testing.assert_allclose(committee(pool_batch(network, tasks, 1)), [[gap, 0]], atol=1e-6)


class Slow:
    """A block written out from its weights in float64."""

    def __init__(self, block):
        self.state = {name: value.double().numpy() for name, value in block.state_dict().items()}

    def norm(self, x, name):
        return normalised(x, self.state, name)

    def bottleneck(self, x, name):
        y = np.maximum(
            self.norm(convolved(x, self.state[f"{name}.conv1.weight"]), f"{name}.bn1"), 0
        )
        y = np.maximum(
            self.norm(convolved(y, self.state[f"{name}.conv2.weight"]), f"{name}.bn2"), 0
        )
        return np.maximum(
            x + self.norm(convolved(y, self.state[f"{name}.conv3.weight"]), f"{name}.bn3"), 0
        )

    def __call__(self, initial, gate):
        features = {
            n: np.maximum(
                self.norm(convolved(x, self.state[f"embed.{n}.0.weight"]), f"embed.{n}.1"), 0
            )
            for n, x in initial.items()
        }
        refined = {}
        for name in initial:
            (other,) = initial.keys() - {name}
            gated = name if gate == "target" else other
            opened = 1 / (
                1 + np.exp(-convolved(features[gated], self.state[f"distil.gates.{gated}.weight"]))
            )
            message = convolved(features[other], self.state[f"distil.messages.{other}.weight"])
            x, decoder = features[name] + opened * message, f"decoders.{name}"
            for index in range(2):
                x = self.bottleneck(x, f"{decoder}.0.{index}")
            refined[name] = convolved(
                x, self.state[f"{decoder}.1.weight"], self.state[f"{decoder}.1.bias"]
            )
        return refined


@pytest.mark.parametrize("gate", ["target", "source"])
def test_a_block_is_the_drawing_of_figure_8_written_out(gate):
    torch.manual_seed(0)
    tasks = {name: TASKS[name] for name in ("semseg", "normals")}
    block = Block(tasks, 8, gate).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2)
    initial = {
        name: task.activate(torch.randn(2, task.channels, 3, 5)) for name, task in tasks.items()
    }
    with torch.no_grad():
        found = block(initial)
    expected = Slow(block)({name: value.double().numpy() for name, value in initial.items()}, gate)
    for name, values in expected.items():
        assert np.abs(values).max() > 0.01
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"),
        n=6,
        size=[(32, 64), (48, 40)],
        tasks=("semseg", "depth", "normals"),
    )


def job_of(dataset, statistic, net="pad_net"):
    found = definitions(list(dataset.rows))
    tasks = build_all(found)
    model = TrainedModel(network=toy_network(tasks, net).eval())
    return ScoringJob(
        model=model,
        tasks=tasks,
        definitions=found,
        source=source_of(dataset),
        data=DATA,
        statistics={"committee": statistic},
        stamp={"model": "toy"},
        batch=3,
    )


def fitted(dataset, folder, statistic, progress=None, net="pad_net"):
    folder.mkdir(exist_ok=True)
    job, names = job_of(dataset, statistic, net), list(dataset.names)
    fit_statistics(
        job,
        FitImages(
            labelled=names[:4],
            pool=names,
            seed=0,
            train_member=lambda _: job.model,
            objective=ObjectiveOptions(),
        ),
        folder,
        progress or Silent(),
    )
    return job


def loss_of(job, statistic, names):
    total = 0.0
    for batch in pool_batches(job, names):
        for block in statistic.blocks:
            for name, raw in block(initial_predictions(batch)).items():
                target = batch.batch.targets[name]
                resized = nn.functional.interpolate(raw, target.value.shape[-2:], mode="bilinear")
                total += float(batch.tasks[name].loss(resized, target).sum())
    return total


def test_blocks_for_all_pairs_learn_on_the_labelled_images(dataset, tmp_path):
    one, other = Committee(Options(epochs=1)), Committee(Options(epochs=15))
    job = fitted(dataset, tmp_path / "one", one)
    fitted(dataset, tmp_path / "other", other)
    pairs = [tuple(block.embed) for block in other.blocks]
    assert pairs == list(combinations(job.tasks, 2))
    assert other.blocks[0].embed["semseg"][0].out_channels == 16  # the network's own width
    names = list(dataset.names[:4])
    assert loss_of(job, other, names) < 0.8 * loss_of(job, one, names)
    assert not any(module.training for module in other.modules())


class Stopped(Silent):
    def advance(self, amount=1, note=""):
        raise KeyboardInterrupt


def test_a_killed_training_is_resumed_bit_for_bit(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    whole, cut, again = (Committee(Options(epochs=3, width=8)) for _ in range(3))
    fitted(dataset, tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        fitted(dataset, tmp_path / "cut", cut, Stopped())
    assert list((tmp_path / "cut").glob("*/last"))
    fitted(dataset, tmp_path / "cut", again)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())
    assert [path.suffix for path in (tmp_path / "cut").iterdir()] == [".weights"]


def test_the_losses_have_the_weights_of_the_recipe(dataset, tmp_path):
    def blocks_of(name, **weights):
        statistic, job = (
            Committee(Options(epochs=1, width=8)),
            job_of(dataset, Committee(Options())),
        )
        names, folder = list(dataset.names), tmp_path / name
        folder.mkdir()
        images = FitImages(
            labelled=names[:4],
            pool=names,
            seed=0,
            train_member=lambda _: job.model,
            objective=ObjectiveOptions(weights=weights),
        )
        fit_statistics(replace(job, statistics={"committee": statistic}), images, folder, Silent())
        return statistic.state_dict()

    default = {
        name: task.weight for name, task in build_all(definitions(list(dataset.rows))).items()
    }
    plain, same, other = (
        blocks_of("a"),
        blocks_of("b", **default),
        blocks_of("c", depth=100 * default["depth"]),
    )
    assert all(torch.equal(value, same[name]) for name, value in plain.items())
    assert not all(torch.equal(value, other[name]) for name, value in plain.items())


def test_the_network_and_its_buffers_are_bitwise_as_they_were(dataset, tmp_path):
    statistic = Committee(Options(epochs=1, width=8, own=True))
    job = job_of(dataset, statistic)
    network, names = job.model.network, list(dataset.names)
    before = {
        name: value.clone()
        for name, value in [*network.named_parameters(), *network.named_buffers()]
    }
    fit_statistics(
        job,
        FitImages(
            labelled=names[:4],
            pool=names,
            seed=0,
            train_member=lambda _: job.model,
            objective=ObjectiveOptions(),
        ),
        tmp_path,
        Silent(),
    )
    for batch in pool_batches(job, names):
        statistic(batch)
    after = dict([*network.named_parameters(), *network.named_buffers()])
    assert all(
        torch.equal(before[name], value) and value.grad is None for name, value in after.items()
    )
    assert not network.training


def test_a_network_of_one_stage_is_refused(dataset, tmp_path):
    with pytest.raises(ModelError, match="SharedHeads has one stage") as refused:
        fitted(dataset, tmp_path, Committee(Options()), net="shared_heads")
    assert 'name = "pad_net"' in str(refused.value)


def test_one_task_alone_is_refused_unless_the_network_refines_it_itself():
    tasks, network = {"a": replace(DEPTH, name="a")}, HandMade({"a": 1}, {"a": 1.5})
    with pytest.raises(ModelError, match="the project has 1"):
        Committee(Options()).setup(pool_batch(network, tasks))
    own = Committee(Options(own=True))
    own.setup(pool_batch(network, tasks))
    for side in (4, 8):  # final predictions of another size are resized
        network.side = side
        assert own(pool_batch(network, tasks)).tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize("module, coarser", [(three_scale, [{8}, {4}]), (mti_net, [{8}, {4}, {2}])])
def test_of_several_scales_the_finest_is_refined(module, coarser):
    network = made(module.build, module.Options())
    features = network.encode(images())
    frames = (Frame((32, 64), (32, 64), (slice(0, 32), slice(0, 64))),) * 2
    batch = PoolBatch(
        batch=SimpleNamespace(frames=frames),
        keys=np.arange(2),
        features=features,
        model=TrainedModel(network=network),
        tasks=TASKS,
    )
    committee = Committee(Options(own=True))
    committee.setup(batch)
    committee.eval()
    sizes = [{maps.shape[-1] for maps in raws.values()} for raws in batch.output.initial]
    assert sizes == [{16}, *coarser]
    assert {maps.shape[-1] for maps in initial_predictions(batch).values()} == {16}
    with torch.no_grad():
        values = committee(batch)
    assert values.shape == (2, 4) and np.isfinite(values).all() and (values > 0).all()


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="width must be a multiple of 4"):
        Options(width=6)
    with pytest.raises(ValueError, match="epochs must be from 1"):
        Options(epochs=0)
