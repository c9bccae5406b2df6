"""The auto-encoder: its layers, sizes of every parity, standardised inputs, and its training."""

import numpy as np
import pytest
import torch
from torch import nn

from labelgrid.basics.progress import Silent
from labelgrid.score import training
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import PoolBatch
from labelgrid.score.statistics.embedding import (
    AutoEncoder,
    Embedding,
    Options,
    channel_moments,
    task_maps,
)
from labelgrid.score.training import Rows
from labelgrid.tasks.task import build_all, definitions
from labelgrid.testing.networks import TASKS, images, made
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.plugins import three_scale
from tests.slow_layers import convolved, normalised
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

SMALL = Options(dimensions=6, width=4, epochs=3)


@pytest.mark.parametrize("size", [(16, 32), (15, 33), (1, 1), (17, 2), (30, 40), (7, 13)])
def test_maps_of_any_size_come_back_in_their_size(size):
    network = AutoEncoder(5, size, SMALL).eval()
    assert network.encoder(torch.randn(2, 5, *size)).shape == (2, 6)
    assert network(torch.randn(2, 5, *size)).shape == (2, 5, *size)


def test_it_has_the_layers_of_the_supplement():
    network = AutoEncoder(768, (120, 160), Options())
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = [module for module in network.modules() if isinstance(module, kinds)]
    channels = [(m.in_channels, m.out_channels) for m in layers if not isinstance(m, nn.Linear)]
    down = [(768, 128), (128, 256), (256, 512), (512, 1024)]
    assert channels == [*down, *((b, a) for a, b in reversed(down))]
    assert all(
        (m.kernel_size, m.stride) == ((4, 4), (2, 2))
        for m in layers
        if not isinstance(m, nn.Linear)
    )
    code = 1024 * 8 * 10
    assert [(m.in_features, m.out_features) for m in layers if isinstance(m, nn.Linear)] == [
        (code, 512),
        (512, code),
    ]
    names = [type(module).__name__ for module in network.modules()]
    assert names.count("BatchNorm2d") == names.count("ReLU") == 4 + 3
    assert isinstance(list(network.modules())[-1], nn.ConvTranspose2d)  # the last layer is linear


@pytest.mark.parametrize("side", [5, 6])
def test_a_convolution_pads_as_same_does(side):
    """SAME: the output has half of the side, rounded up.

    The padding is split, with the odd rest after the map.
    """
    maps = torch.randn(1, 1, side, side, dtype=torch.float64)
    block = AutoEncoder(1, (side, side), SMALL).double().encoder[0]
    found = block[:2](maps).detach().numpy()
    expected = convolved(maps.numpy(), block[1].weight.detach().numpy(), stride=2)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def written_out(encoder, maps):
    """The codes of standardised maps, from the encoder's weights, in float64."""
    state = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    x = maps.double().numpy()
    for block in range(4):
        x = convolved(x, state[f"{block}.1.weight"], stride=2)
        x = np.maximum(normalised(x, state, f"{block}.2"), 0)
    return x.reshape(len(x), -1) @ state["5.weight"].T + state["5.bias"]


@pytest.mark.parametrize("size", [(16, 32), (7, 13)])
def test_the_code_is_that_of_the_encoder_written_out(size):
    torch.manual_seed(0)
    network = AutoEncoder(3, size, SMALL)
    with torch.no_grad():
        for _ in range(3):
            network(5 * torch.randn(4, 3, *size) + 1)  # running moments other than 0 and 1
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-0.3, 0.3)
        maps = torch.randn(2, 3, *size)
        found = network.eval().encoder(maps)
    np.testing.assert_allclose(found, written_out(network.encoder, maps), rtol=1e-4, atol=1e-5)


def test_moments_are_those_of_all_pixels_whatever_the_mean():
    parts = [
        torch.randn(n, 3, 4, 5) * torch.tensor([1.0, 5, 0]).view(3, 1, 1) + 1e4 for n in (3, 1, 7)
    ]
    mean, deviation = channel_moments(lambda _: (Rows({"features": part}) for part in parts), 3)
    whole = torch.cat(parts).double()
    torch.testing.assert_close(mean.flatten().double(), whole.mean((0, 2, 3)), rtol=1e-7, atol=0)
    expected = whole.std((0, 2, 3), correction=0)
    assert expected[2] == 0
    expected[2] = 1
    torch.testing.assert_close(deviation.flatten().double(), expected, rtol=1e-5, atol=0)
    none = channel_moments(lambda _: iter(()), 3)
    assert none[0].flatten().tolist() == [0, 0, 0] and none[1].flatten().tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=7, size=[(32, 64), (48, 40)], tasks=("semseg", "depth")
    )


def job_of(dataset, statistic, net="pad_net", data=DATA):
    found = definitions(list(dataset.rows))
    tasks = build_all(found)
    model = TrainedModel(network=toy_network(tasks, net).eval())
    return ScoringJob(
        model=model,
        tasks=tasks,
        definitions=found,
        source=source_of(dataset),
        data=data,
        statistics={"embedding": statistic},
        stamp={"model": "toy"},
        batch=3,
    )


def fitted(dataset, folder, statistic, progress=None, **how):
    folder.mkdir(exist_ok=True)
    job, names = job_of(dataset, statistic, **how), list(dataset.names)
    fit_statistics(
        job,
        FitImages(
            labelled=names[:2],
            pool=names,
            seed=0,
            train_member=lambda _: job.model,
            objective=ObjectiveOptions(),
        ),
        folder,
        progress or Silent(),
    )
    return job


@pytest.mark.parametrize("net", ["pad_net", "shared_heads"])
def test_it_learns_to_reconstruct_the_concatenated_features_of_all_tasks(dataset, tmp_path, net):
    errors = {}
    for epochs in (1, 40):
        statistic = Embedding(Options(dimensions=16, width=8, epochs=epochs))
        job = fitted(dataset, tmp_path / str(epochs), statistic, net=net)
        total, names = 0.0, list(dataset.names)
        for batch in pool_batches(job, names):
            output = batch.output
            heads = output.initial_features[0] if net == "pad_net" else output.task_features
            maps = task_maps(batch)
            assert torch.equal(maps, torch.cat([heads["semseg"], heads["depth"]], 1))
            maps = (maps - statistic.mean) / statistic.spread
            total += float((statistic.network(maps) - maps).square().mean())
            assert (
                statistic(batch).shape == (len(batch.keys), 16)
                and statistic(batch).dtype == np.float32
            )
            np.testing.assert_allclose(
                statistic(batch), written_out(statistic.network.encoder, maps), rtol=1e-4, atol=1e-5
            )
        errors[epochs] = total
    assert errors[40] < 0.8 * errors[1]
    assert (statistic.scope, statistic.axis) == ("all", "feature")


class Stopped(Silent):
    def advance(self, amount=1, note=""):
        raise KeyboardInterrupt


def test_a_killed_training_is_resumed_bit_for_bit_and_the_network_stays(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    whole, cut, again = (Embedding(SMALL) for _ in range(3))
    job = fitted(dataset, tmp_path / "whole", whole)
    plain = job_of(dataset, whole).model.network
    for states in ("named_parameters", "named_buffers"):
        expected = dict(getattr(plain, states)())
        assert all(
            torch.equal(value, expected[name])
            for name, value in getattr(job.model.network, states)()
        )
    with pytest.raises(KeyboardInterrupt):
        fitted(dataset, tmp_path / "cut", cut, Stopped())
    assert list((tmp_path / "cut").glob("*/last"))
    fitted(dataset, tmp_path / "cut", again)
    expected = whole.state_dict()
    assert "mean" in expected and expected["mean"].any()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())


def test_images_of_other_shapes_are_resized_to_the_first_ones_maps(dataset, tmp_path):
    from dataclasses import replace

    statistic = Embedding(SMALL)
    job = fitted(dataset, tmp_path, statistic, data=replace(DATA, fit="crop"))
    batches = list(pool_batches(job, list(dataset.names)))
    assert len({task_maps(batch).shape[-2:] for batch in batches}) == 2
    with torch.inference_mode():
        codes = np.concatenate([statistic(batch) for batch in batches])
    assert codes.shape == (7, 6) and np.isfinite(codes).all()


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="dimensions must be from 1"):
        Options(dimensions=0)


def test_of_several_scales_the_finest_is_embedded():
    network = made(three_scale.build, three_scale.Options())
    batch = PoolBatch(
        batch=None,
        keys=np.arange(2),
        features=network.encode(images()),
        model=TrainedModel(network=network),
        tasks=TASKS,
    )
    scales = batch.output.initial_features
    assert [{maps.shape[-1] for maps in heads.values()} for heads in scales] == [{16}, {8}, {4}]
    torch.testing.assert_close(task_maps(batch), torch.cat([scales[0][name] for name in TASKS], 1))
