"""Laws every network of `labelgrid.nets` keeps, and every file added there must keep."""

import dataclasses
from functools import partial

import pytest
import torch

from labelgrid import plugins
from labelgrid.labels.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.dropout import keyed_dropout
from labelgrid.nets.network import Network
from labelgrid.nets.options import BackboneOptions
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task, build_all, definitions

ROWS = [
    TaskRow("semseg", "semseg", 1, {"classes": ["a", "b", "c"]}),
    TaskRow("depth", "depth", 1),
    TaskRow("normals", "normals", 1),
    TaskRow("edges", "edges", 1),
]
TASKS = build_all(definitions(ROWS))
SIZE = (32, 64)
VARIANTS = {"shared_heads": [{}], "pad_net": [{}, {"gate": "source"}, {"own": "features"}]}
every = pytest.mark.parametrize(
    "name, options",
    [(name, variant) for name in plugins.names("nets") for variant in VARIANTS.get(name, [{}])],
    ids=str,
)


def make(name: str, options: dict[str, object], tasks: dict[str, Task] = TASKS) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = partial(Encoder, BackboneOptions("mobilenetv2_035", pretrained=False, fused=16))
        kind = plugins.module("nets", name).Options
        width = {"width": 16} if any(f.name == "width" for f in dataclasses.fields(kind)) else {}
        network: Network = plugins.resolve("nets", name)(tasks, encoder, kind(**width, **options))
        for module in network.modules():  # statistics that are not the identity
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
        return network.eval()


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def label(task: Task, valid: torch.Tensor) -> Target:
    generator = torch.Generator().manual_seed(2)
    shape = (len(valid), task.label_channels, *SIZE)
    if task.kind == "semseg":
        value = torch.randint(task.channels, shape, generator=generator)
    else:
        value = task.activate(torch.rand(shape, generator=generator) + 0.1)
    return Target(value, valid.view(-1, 1, 1, 1).expand(-1, 1, *SIZE).clone())


def known(*valid: bool) -> dict[str, Target]:
    return {name: label(task, torch.tensor(valid)) for name, task in TASKS.items()}


@every
def test_outputs_have_the_tasks_channels_at_one_resolution(name, options):
    output = make(name, options)(images())
    sizes = {raw.shape[-2:] for raw in output.final.values()}
    assert len(sizes) == 1 and {n: raw.shape[1] for n, raw in output.final.items()} == {
        n: t.channels for n, t in TASKS.items()
    }
    for scale in output.initial:
        assert {n: raw.shape[1] for n, raw in scale.items()} == {n: t.channels for n, t in TASKS.items()}


@every
def test_no_valid_known_label_is_bitwise_no_known_label(name, options):
    network, garbage = make(name, options), known(False, False)
    garbage["depth"].value.fill_(float("nan"))
    plain, none = network(images()), network(images(), garbage)
    assert all(torch.equal(plain.final[n], none.final[n]) for n in TASKS)


@every
def test_an_images_labels_leave_the_other_images_untouched(name, options):
    network = make(name, options)
    plain, first = network(images()), network(images(), known(True, False))
    assert all(torch.equal(plain.final[n][1], first.final[n][1]) for n in TASKS)


@every
def test_a_tasks_own_label_never_reaches_its_own_output(name, options):
    network = make(name, options)
    plain = network(images())
    for n in TASKS:
        own = network(images(), {n: known(True, True)[n]})
        assert torch.equal(plain.final[n], own.final[n])


def test_a_known_label_changes_the_other_tasks_of_a_two_stage_network():
    for options in VARIANTS["pad_net"]:
        network = make("pad_net", options)
        plain, fed = network(images()), network(images(), {"depth": known(True, True)["depth"]})
        assert all(not torch.equal(plain.final[n], fed.final[n]) for n in TASKS if n != "depth")


@every
def test_a_fully_known_tasks_initial_head_gets_no_gradient_through_other_outputs(name, options):
    network = make(name, options).train()
    output = network(images(), {"depth": known(True, True)["depth"]})
    others = sum(raw.square().sum() for n, raw in output.final.items() if n != "depth")
    for scale in output.initial:
        (gradient,) = torch.autograd.grad(others, scale["depth"], retain_graph=True, allow_unused=True)
        assert gradient is None or not gradient.any()


@every
def test_encode_decode_and_predict_are_the_forward_pass(name, options):
    network = make(name, options)
    whole = network(images())
    parts = network.decode(network.encode(images()))
    again = network.predict(whole.task_features)
    assert all(torch.equal(whole.final[n], parts.final[n]) for n in TASKS)
    assert all(torch.equal(whole.final[n], again[n]) for n in TASKS)


@every
def test_one_task_alone_works(name, options):
    one = {"depth": TASKS["depth"]}
    output = make(name, options, one)(images(1), {"depth": known(True)["depth"]})
    assert set(output.final) == {"depth"} and torch.isfinite(output.final["depth"]).all()


@every
def test_keyed_dropout_gives_an_image_the_same_masks_in_any_company(name, options):
    import numpy as np

    network, picture = make(name, options), images()
    with torch.no_grad():
        both = network.encode(picture)
        for where in ("final", "heads"):
            with keyed_dropout(network, where, np.array([5, 9], np.uint64), seed=3) as use:
                use(1)
                pair = network.decode(both).final
            with keyed_dropout(network, where, np.array([9], np.uint64), seed=3) as use:
                use(1)
                alone = network.forward(picture[1:]).final
            plain = network.decode(both).final
            for n in TASKS:
                torch.testing.assert_close(pair[n][1:], alone[n], rtol=1e-4, atol=1e-5)
                assert not torch.equal(plain[n], pair[n])


@every
def test_every_option_changes_some_output(name, options):
    base = make(name, {})(images())
    if options:
        changed = make(name, options)(images())
        assert any(not torch.equal(base.final[n], changed.final[n]) for n in TASKS)
