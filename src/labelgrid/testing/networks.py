"""Defines the laws of networks, functions that raise AssertionError for a breach."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics import plugins
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.keyed_dropout import ChannelDropout, keyed_dropout
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task, build_all, definitions
from labelgrid.testing.laws import Subject, expect
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


def case_of(subject: Subject, _place: Path) -> Make:
    """Makes a narrow network, with the author's `OPTIONS`."""
    build = plugins.resolve("networks", subject.name)
    options = plugins.options_class("networks", subject.name)
    values = dict(subject.says("OPTIONS", {}))
    if any(field.name == "width" for field in fields(options)):
        values.setdefault("width", 16)
    return partial(made, build, options(**values))


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
    """The default options, and a variant for each further word of an option with several words."""
    hints = get_type_hints(options)
    plain = options()
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
    output = make(TASKS)(images())
    channels = {n: t.channels for n, t in TASKS.items()}
    expect(
        len(output.initial_features) == len(output.initial),
        "`initial_features` must have the features of each scale of `initial`; there are "
        f"{len(output.initial_features)} for {len(output.initial)} scales.",
    )
    widths = []
    for raws in (output.final, *output.initial):
        counts = {n: raw.shape[1] for n, raw in raws.items()}
        expect(
            counts == channels,
            f"Each output must have the channels of its task, {channels}; they have {counts}.",
        )
        sizes = {tuple(raw.shape[-2:]) for raw in raws.values()}
        expect(
            len(sizes) == 1,
            f"The outputs of all tasks must have one size at each scale; they have {sizes}.",
        )
        widths.append(sizes.pop()[1])
    expect(
        widths[1:] == sorted(set(widths[1:]), reverse=True),
        f"The scales of `initial` must come finest first; their widths are {widths[1:]}.",
    )
    for raws, features in zip(
        (output.final, *output.initial),
        (output.task_features, *output.initial_features),
        strict=True,
    ):
        spans = {n: (len(x), *x.shape[-2:]) for n, x in features.items()}
        wanted = {n: (len(raw), *raw.shape[-2:]) for n, raw in raws.items()}
        expect(
            spans == wanted,
            f"The features of each task must have the images and the size of its output, {wanted}; "
            f"they have {spans}.",
        )


@law
def no_valid_known_label_is_bitwise_no_known_label(make: Make) -> None:
    network = make(TASKS)
    garbage = known(False, False)
    garbage["depth"].value.fill_(float("nan"))
    plain = network(images())
    none = network(images(), garbage)
    moved = [n for n in TASKS if not torch.equal(plain.final[n], none.final[n])]
    expect(
        not moved,
        f"Known labels without a valid pixel must change nothing; they changed {moved}: use "
        "`target.valid`, and `target.safe()` for values.",
    )


@law
def an_images_labels_leave_the_other_images_untouched(make: Make) -> None:
    network = make(TASKS)
    plain = network(images())
    first = network(images(), known(True, False))
    moved = [n for n in TASKS if not torch.equal(plain.final[n][1], first.final[n][1])]
    expect(
        not moved,
        f"The known labels of an image must not change the outputs of others; they did for {moved}.",
    )


@law
def a_tasks_own_label_never_reaches_its_own_output(make: Make) -> None:
    network = make(TASKS)
    plain = network(images())
    for n in TASKS:
        fed = network(images(), {n: known(True, True)[n]})
        expect(
            torch.equal(plain.final[n], fed.final[n]),
            f"The known label of a task must not reach the output of that task; that of {n} did.",
        )


@law
def a_known_label_changes_the_other_tasks_of_a_two_stage_network(make: Make) -> None:
    network = make(TASKS)
    plain = network(images())
    fed = network(images(), {"depth": known(True, True)["depth"]})
    others = [n for n in TASKS if n != "depth"]
    moved = [n for n in others if not torch.equal(plain.final[n], fed.final[n])]
    if network.ignores_known:
        expect(not moved, f"A network with `ignores_known` must ignore labels; {moved} changed.")
    elif plain.initial:
        expect(
            moved == others,
            f"A known label of depth must change the outputs of {others}; it changed {moved}. If "
            "known labels have no effect, set `ignores_known = True`.",
        )


@law
def a_fully_known_tasks_initial_head_gets_no_gradient_through_other_outputs(make: Make) -> None:
    network = make(TASKS).train()
    output = network(images(), {"depth": known(True, True)["depth"]})
    parts = [raw.square().sum() for n, raw in output.final.items() if n != "depth"]
    others = torch.stack(parts).sum()
    for scale in output.initial:
        (gradient,) = torch.autograd.grad(
            others, scale["depth"], retain_graph=True, allow_unused=True
        )
        expect(
            gradient is None or not gradient.any(),
            "Where a task is known everywhere, its initial head must get no gradient from the other "
            "outputs: a known label replaces the prediction before it is embedded.",
        )


@law
def encode_decode_and_predict_are_the_forward_pass(make: Make) -> None:
    network = make(TASKS)
    whole = network(images())
    parts = network.decode(network.encode(images()))
    again = network.predict(whole.task_features)
    for n in TASKS:
        expect(
            torch.equal(whole.final[n], parts.final[n]) and torch.equal(whole.final[n], again[n]),
            "`decode(encode(image))` and `predict(output.task_features)` must give the outputs of the "
            f"whole network, to the last bit; those of {n} differ.",
        )


@law
def one_task_alone_works(make: Make) -> None:
    output = make({"depth": TASKS["depth"]})(images(1), {"depth": known(True)["depth"]})
    expect(
        set(output.final) == {"depth"} and torch.isfinite(output.final["depth"]).all(),
        f"A network of depth alone must give finite outputs of depth; it gave {set(output.final)}.",
    )


@law
def keyed_dropout_gives_an_image_the_same_masks_in_any_company(make: Make) -> None:
    network = make(TASKS)
    picture = images()
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
                expect(
                    torch.allclose(pair[n][1:], alone[n], rtol=1e-4, atol=1e-5),
                    f"Dropout of {where!r} must give an image the same outputs of {n} whatever images "
                    "are beside it: use `labelgrid.nets.keyed_dropout.ChannelDropout` alone.",
                )
                expect(
                    not torch.equal(plain[n], pair[n]),
                    f"Dropout of {where!r} must change the outputs of {n}: put a ChannelDropout "
                    "before the final head.",
                )


@law
def features_of_some_images_decode_to_these_images(make: Make) -> None:
    network = make(TASKS)
    with torch.no_grad():
        features = network.encode(images(3))
        whole = network.decode(features).final
        for part, rows in ((features[1:2], [1]), (features[torch.tensor([2, 0])], [2, 0])):
            decoded = network.decode(part).final
            moved = [n for n in TASKS if not torch.allclose(decoded[n], whole[n][rows], atol=1e-5)]
            expect(
                not moved,
                f"`features[rows]` must decode to the outputs of these rows, {rows}; those of {moved} "
                "are others: index every tensor of your `Features`.",
            )
        twice = network.decode(features.repeat(2)).final
        for n, raw in twice.items():
            expect(
                torch.allclose(raw, whole[n][[0, 0, 1, 1, 2, 2]], atol=1e-5),
                "`features.repeat(2)` must decode to each image twice, one after the other; the "
                f"outputs of {n} are others: use `repeat_interleave`.",
            )


@law
def an_embedding_is_one_vector_an_image_of_that_image_alone(make: Make) -> None:
    network = make(TASKS)
    with torch.no_grad():
        both = network.encode(images()).pooled()
        alone = network.encode(images()[1:]).pooled()
    expect(
        both.ndim == 2 and len(both) == 2 and both.isfinite().all(),
        f"`features.pooled()` must be a finite vector an image, [2, d]; it is {tuple(both.shape)}.",
    )
    expect(
        torch.allclose(both[1:], alone, rtol=1e-4, atol=1e-5),
        "`features.pooled()` of an image must not depend on the others of the batch; it does.",
    )
    expect(
        not torch.equal(both[0], both[1]),
        "`features.pooled()` of two different images must differ; they are equal.",
    )


@law
def the_encoder_is_all_that_encoding_runs(make: Make) -> None:
    network = make(TASKS)
    features = network.encode(images())
    torch.stack(
        [part.square().sum() for part in (features.shared, *features.levels)]
    ).sum().backward()  # type: ignore[no-untyped-call]
    reached = {name for name, value in network.named_parameters() if value.grad is not None}
    outside = sorted(name for name in reached if not name.startswith("encoder."))
    expect(
        reached and not outside,
        "`encode` must run weights of the submodule `encoder` alone; it runs "
        f"{outside[:5] or 'none'}.",
    )


@law
def every_task_starts_from_the_shared_features(make: Make) -> None:
    output = make(TASKS)(images())
    for name, raw in output.final.items():
        (gradient,) = torch.autograd.grad(
            raw.square().sum(), output.features.shared, retain_graph=True, allow_unused=True
        )
        expect(
            gradient is not None and gradient.any(),
            f"The output of {name} must depend on `output.features.shared` by a gradient; it does "
            "not: neither detach nor copy the shared features.",
        )


@law
def every_scale_and_every_weight_learns_from_labels(make: Make) -> None:
    network = make(TASKS).train()
    targets = known(True, True)
    output = network(images())
    loss = torch.stack(list(task_losses(TASKS, output, targets, 1.0).values())).sum()
    for scale in output.initial:
        gradients = torch.autograd.grad(
            loss, list(scale.values()), retain_graph=True, allow_unused=True
        )
        idle = [n for n, one in zip(scale, gradients, strict=True) if one is None or not one.any()]
        expect(not idle, f"Each scale of `initial` must learn from labels; {idle} get no gradient.")
    loss.backward()  # type: ignore[no-untyped-call]
    idle = [name for name, value in network.named_parameters() if value.grad is None]
    expect(not idle, f"Each weight must learn from labels; these get no gradient: {idle[:5]}.")


@law
def one_image_of_odd_sides_and_six_tasks_work(make: Make) -> None:
    more = [
        TaskRow("parts", "semseg", 1, {"classes": ["head", "leg"]}),
        TaskRow("saliency", "saliency", 1),
    ]
    tasks = build_all(definitions([*ROWS, *more]))
    network = make(tasks)
    image = torch.rand(1, 3, 97, 131)
    for mode in (network.eval(), network.train()):
        output = mode(image)
        for raws in (output.final, *output.initial):
            wanted = {n: t.channels for n, t in tasks.items()}
            counts = {n: raw.shape[1] for n, raw in raws.items()}
            expect(
                counts == wanted,
                f"The outputs must have the channels {wanted}; they have {counts}.",
            )
            strange = [n for n, raw in raws.items() if not raw.isfinite().all()]
            expect(not strange, f"Outputs must be finite, of one image, too; {strange} are not.")
            height, width = next(iter(raws.values())).shape[-2:]
            stride = round(131 / width)
            fitting = [(-(-97 // s), -(-131 // s)) for s in (stride, stride + 1)]
            expect(
                (height, width) in fitting,
                "The cells of a map must span an image of 97x131 pixels, one stride down and across, "
                f"such as {fitting[0]}; the map is {(height, width)}.",
            )


@law
def it_learns_a_batch_by_heart(make: Make) -> None:
    torch.manual_seed(0)
    network = make(TASKS).train()
    batch = torch.rand(2, 3, 32, 32)
    for module in network.modules():
        if isinstance(module, ChannelDropout):
            module.rate = 0.0
        elif isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    constants = {"semseg": [0, 1], "depth": [1.0, 4.0], "edges": [1.0, 0.0]}
    values = {
        name: torch.tensor(numbers).view(2, 1, 1, 1).expand(2, 1, 32, 32)
        for name, numbers in constants.items()
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
    expect(
        losses[-1] < losses[0] / 10,
        "Within 60 steps a network must learn two images by heart, to a tenth of the first loss; it "
        f"went from {losses[0]:.3g} to {min(losses):.3g} in {len(losses)} steps.",
    )
