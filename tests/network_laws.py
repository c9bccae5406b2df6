"""Laws of a network as functions, so that a network of one's own is held to them in its own test."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.keyed_dropout import ChannelDropout, keyed_dropout
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task, build_all, definitions
from labelgrid.train.objective import task_losses

ROWS = [
    TaskRow("semseg", "semseg", 1, {"classes": ["a", "b", "c"]}),
    TaskRow("depth", "depth", 1),
    TaskRow("normals", "normals", 1),
    TaskRow("edges", "edges", 1),
]
TASKS = build_all(definitions(ROWS))
SIZE = (32, 64)
#: Makes the same network for some tasks, in evaluation mode, each time it is called.
Make = Callable[[Mapping[str, Task]], Network]
Law = Callable[[Make], None]
LAWS: list[Law] = []


def law(function: Law) -> Law:
    """Add to the laws that every network is held to."""
    LAWS.append(function)
    return function


def made(
    build: Callable[..., Network], options: object, tasks: Mapping[str, Task] = TASKS
) -> Network:
    """A small random network in evaluation mode, whose statistics are not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = partial(
            Encoder, BackboneOptions(name="test_efficientnet", pretrained=False, fused=16)
        )
        network = build(tasks, encoder, options)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.uniform_(-0.1, 0.1)
        return network.eval()


def variants(options: type[Any]) -> list[dict[str, object]]:
    """The default, and each other value of each option that is one of several words."""
    hints, plain = get_type_hints(options), options()
    words = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    return [
        {},
        *(
            {n: word}
            for n, choices in words.items()
            for word in choices
            if word != getattr(plain, n)
        ),
    ]


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def label(task: Task, valid: Tensor) -> Target:
    generator = torch.Generator().manual_seed(2)
    told = task.activate(torch.rand((len(valid), task.channels, *SIZE), generator=generator) + 0.1)
    value = task.to_target(told).value
    return Target(value, valid.view(-1, 1, 1, 1).expand(-1, 1, *SIZE).clone())


def known(*valid: bool) -> dict[str, Target]:
    return {name: label(task, torch.tensor(valid)) for name, task in TASKS.items()}


@law
def outputs_have_the_tasks_channels_at_one_resolution_a_scale(make: Make) -> None:
    output, channels = make(TASKS)(images()), {n: t.channels for n, t in TASKS.items()}
    assert len(output.initial_features) == len(output.initial)
    widths = []
    for raws in (output.final, *output.initial):
        assert {n: raw.shape[1] for n, raw in raws.items()} == channels
        sizes = {tuple(raw.shape[-2:]) for raw in raws.values()}
        assert len(sizes) == 1
        widths.append(sizes.pop()[1])
    assert widths[1:] == sorted(set(widths[1:]), reverse=True)  # finest first
    for raws, features in zip(
        (output.final, *output.initial),
        (output.task_features, *output.initial_features),
        strict=True,
    ):
        assert {n: (len(x), x.shape[-2:]) for n, x in features.items()} == {
            n: (len(raw), raw.shape[-2:]) for n, raw in raws.items()
        }


@law
def no_valid_known_label_is_bitwise_no_known_label(make: Make) -> None:
    network, garbage = make(TASKS), known(False, False)
    garbage["depth"].value.fill_(float("nan"))
    plain, none = network(images()), network(images(), garbage)
    assert all(torch.equal(plain.final[n], none.final[n]) for n in TASKS)


@law
def an_images_labels_leave_the_other_images_untouched(make: Make) -> None:
    network = make(TASKS)
    plain, first = network(images()), network(images(), known(True, False))
    assert all(torch.equal(plain.final[n][1], first.final[n][1]) for n in TASKS)


@law
def a_tasks_own_label_never_reaches_its_own_output(make: Make) -> None:
    network = make(TASKS)
    plain = network(images())
    for n in TASKS:
        own = network(images(), {n: known(True, True)[n]})
        assert torch.equal(plain.final[n], own.final[n])


@law
def a_known_label_changes_the_other_tasks_of_a_two_stage_network(make: Make) -> None:
    network = make(TASKS)
    plain, fed = network(images()), network(images(), {"depth": known(True, True)["depth"]})
    if network.ignores_known:
        assert all(torch.equal(plain.final[n], fed.final[n]) for n in TASKS)
    elif plain.initial:
        assert all(not torch.equal(plain.final[n], fed.final[n]) for n in TASKS if n != "depth")


@law
def a_fully_known_tasks_initial_head_gets_no_gradient_through_other_outputs(make: Make) -> None:
    network = make(TASKS).train()
    output = network(images(), {"depth": known(True, True)["depth"]})
    others = sum(raw.square().sum() for n, raw in output.final.items() if n != "depth")
    for scale in output.initial:
        (gradient,) = torch.autograd.grad(
            others, scale["depth"], retain_graph=True, allow_unused=True
        )  # type: ignore[arg-type]
        assert gradient is None or not gradient.any()


@law
def encode_decode_and_predict_are_the_forward_pass(make: Make) -> None:
    network = make(TASKS)
    whole = network(images())
    parts = network.decode(network.encode(images()))
    again = network.predict(whole.task_features)
    assert all(torch.equal(whole.final[n], parts.final[n]) for n in TASKS)
    assert all(torch.equal(whole.final[n], again[n]) for n in TASKS)


@law
def one_task_alone_works(make: Make) -> None:
    output = make({"depth": TASKS["depth"]})(images(1), {"depth": known(True)["depth"]})
    assert set(output.final) == {"depth"} and torch.isfinite(output.final["depth"]).all()


@law
def keyed_dropout_gives_an_image_the_same_masks_in_any_company(make: Make) -> None:
    network, picture = make(TASKS), images()
    places: tuple[Literal["final", "heads"], ...] = ("final", "heads")
    with torch.no_grad():
        both = network.encode(picture)
        for where in places:
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


@law
def features_of_some_images_decode_to_these_images(make: Make) -> None:
    network = make(TASKS)
    with torch.no_grad():
        features = network.encode(images(3))
        whole = network.decode(features).final
        for part, rows in ((features[1:2], [1]), (features[torch.tensor([2, 0])], [2, 0])):
            assert all(
                torch.allclose(raw, whole[n][rows], atol=1e-5)
                for n, raw in network.decode(part).final.items()
            )
        twice = network.decode(features.repeat(2)).final
        assert all(
            torch.allclose(raw, whole[n][[0, 0, 1, 1, 2, 2]], atol=1e-5) for n, raw in twice.items()
        )


@law
def an_embedding_is_one_vector_an_image_of_that_image_alone(make: Make) -> None:
    network = make(TASKS)
    with torch.no_grad():
        both, alone = network.encode(images()).pooled(), network.encode(images()[1:]).pooled()
    assert both.ndim == 2 and len(both) == 2 and both.isfinite().all()
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)
    assert not torch.equal(both[0], both[1])


@law
def the_encoder_is_all_that_encoding_runs(make: Make) -> None:
    network = make(TASKS)
    features = network.encode(images())
    torch.stack(
        [part.square().sum() for part in (features.shared, *features.levels)]
    ).sum().backward()
    reached = {name for name, value in network.named_parameters() if value.grad is not None}
    assert reached and all(name.startswith("encoder.") for name in reached)


@law
def every_task_starts_from_the_shared_features(make: Make) -> None:
    output = make(TASKS)(images())
    for raw in output.final.values():
        (gradient,) = torch.autograd.grad(
            raw.square().sum(), output.features.shared, retain_graph=True, allow_unused=True
        )
        assert gradient is not None and gradient.any()


@law
def every_scale_and_every_weight_learns_from_labels(make: Make) -> None:
    network, targets = make(TASKS).train(), known(True, True)
    output = network(images())
    loss = torch.stack(list(task_losses(TASKS, output, targets, 1.0).values())).sum()
    for scale in output.initial:
        gradients = torch.autograd.grad(
            loss, list(scale.values()), retain_graph=True, allow_unused=True
        )
        assert all(gradient is not None and gradient.any() for gradient in gradients)
    loss.backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


@law
def one_image_of_odd_sides_and_six_tasks_work(make: Make) -> None:
    more = [
        TaskRow("parts", "semseg", 1, {"classes": ["head", "leg"]}),
        TaskRow("saliency", "saliency", 1),
    ]
    tasks = build_all(definitions([*ROWS, *more]))
    network, image = make(tasks), torch.rand(1, 3, 97, 131)
    for mode in (network.eval(), network.train()):
        output = mode(image)
        for raws in (output.final, *output.initial):
            assert {n: raw.shape[1] for n, raw in raws.items()} == {
                n: t.channels for n, t in tasks.items()
            }
            assert all(raw.isfinite().all() for raw in raws.values())
            height, width = next(iter(raws.values())).shape[-2:]
            stride = round(131 / width)
            assert (height, width) in [(-(-97 // s), -(-131 // s)) for s in (stride, stride + 1)]


@law
def it_learns_a_batch_by_heart(make: Make) -> None:
    torch.manual_seed(0)
    network, batch = make(TASKS).train(), torch.rand(2, 3, 32, 32)
    for module in network.modules():
        if isinstance(module, ChannelDropout):
            module.rate = 0.0
        elif isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    constants = {"semseg": [0, 1], "depth": [1.0, 4.0], "edges": [1.0, 0.0]}
    values = {
        name: torch.tensor(each).view(2, 1, 1, 1).expand(2, 1, 32, 32)
        for name, each in constants.items()
    }
    values["normals"] = torch.eye(3)[:2].view(2, 3, 1, 1).expand(2, 3, 32, 32)
    targets = {
        name: Target(value, torch.ones(2, 1, 32, 32, dtype=torch.bool))
        for name, value in values.items()
    }
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses: list[float] = []
    while len(losses) < 60 and (not losses or losses[-1] >= losses[0] / 10):
        loss = (
            torch.stack(list(task_losses(TASKS, network(batch), targets, 1.0).values()))
            .mean(1)
            .sum()
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10, (
        f"the loss went from {losses[0]:.3g} to {min(losses):.3g} in {len(losses)} steps"
    )
