"""JTR's losses against slow versions in float64: one image at a time, as its code runs, with batch norm."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional

from labelgrid.data.loader import train_batch
from labelgrid.testing.trainings import dataset, trainer
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.jtr import MapEncoder, Options, build

#: Which labels of semseg, depth and normals the six images have.
LABELLED = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]]).bool()
CLASSES, SIZE, MEAN, DEVIATION = 4, (32, 64), 3.0, 1.5


def step_of(folder, options):
    """A training with the term, all in float64, and the term's step for a batch with gaps in its labels."""
    made = dataset(folder)
    training = trainer(made, lambda tasks, network: build(tasks, network, options), batch=6)
    plan = training.plan
    for part in (plan.network, *plan.terms.values()):
        part.double().train()
    batch = train_batch(plan.source, plan.definitions, made.names, plan.data, seed=0, soft={})
    targets = {n: t.where(LABELLED[:, i]) for i, (n, t) in enumerate(batch.targets.items())}
    gaps = torch.rand(3, 6, 1, *SIZE, generator=torch.Generator().manual_seed(0)) < 0.9
    targets = {
        n: replace(
            t,
            value=t.value.double() if t.value.is_floating_point() else t.value,
            valid=t.valid & gap,
        )
        for (n, t), gap in zip(targets.items(), gaps, strict=True)
    }
    batch = replace(batch, images=batch.images.double(), targets=targets)
    with seed_torch(0, "forward"):
        output = plan.network(batch.images)
    losses = task_losses(plan.tasks, output, batch.targets, 1.0)
    return training, training.terms.steps(batch, output, losses, 0)["it"]


def one_image(encoder, stack):
    """Code and reconstruction of one stack [1, c, h, w]: SegNet by functions, with the batch norm of this image."""

    def layer(one, x):
        x = functional.conv2d(x, one[0].weight, one[0].bias, padding=1)
        return functional.relu(
            functional.batch_norm(x, None, None, one[1].weight, one[1].bias, training=True)
        )

    x, places, body = stack, [], encoder.body
    for first, others in zip(body.first, body.second, strict=True):
        for one in (first, *others):
            x = layer(one, x)
        x, place = functional.max_pool2d(x, 2, return_indices=True)
        places.append(place)
    code = x
    for first, others, place in list(zip(body.first_up, body.second_up, places, strict=True))[::-1]:
        x = functional.max_unpool2d(x, place, 2)
        for one in (first, *others):
            x = layer(one, x)
    first, last = encoder.head
    x = functional.conv2d(x, first.weight, first.bias, padding=1)
    return code, functional.conv2d(x, last.weight, last.bias)


def normal(x, options):
    if options.scale == "maximum":
        return x / (x.max() + 1e-12)
    return (1 + torch.erf((x - MEAN) / DEVIATION / math.sqrt(2))) / 2


def prediction(name, raw, noise, mask, options):
    """One image's prediction [c, h, w] as a map; classes are probabilities if there is no noise."""
    if name == "semseg":
        soft = (raw if noise is None else raw + noise).softmax(0)
        hard = functional.one_hot(soft.argmax(0), CLASSES).permute(2, 0, 1).double()
        return soft if noise is None else hard - soft.detach() + soft
    return normal(raw * mask, options) if name == "depth" else (raw / raw.norm(dim=0) + 1) / 2


def label(name, value, valid, options):
    if name == "semseg":
        return torch.stack([(value[0] == k) & valid for k in range(CLASSES)]).double()
    value = torch.where(valid, value, 0.0)
    return normal(value, options) if name == "depth" else (value + 1) / 2


def neutral(name, options):
    """What a pixel without a label is: no class, a depth of 0, no direction."""
    zero = torch.zeros(()).double()
    empty = zero if options.scale == "maximum" else normal(zero, options)
    return {"semseg": zero, "depth": empty, "normals": zero + 0.5}[name]


def stacks_of(step, view, n, noise, options):
    """The two stacks of one image by task, and where all of its labels are valid."""
    batch, output = step.views.get(view, (step.batch, step.output))
    mask = torch.ones(SIZE, dtype=torch.bool)
    known = [name for name in step.tasks if batch.targets[name].valid[n].any()]
    for name in known:
        mask = mask & batch.targets[name].valid[n, 0]
    predicted, wanted = {}, {}
    for name in step.tasks:
        raw = functional.interpolate(output.final[name][n : n + 1], size=SIZE, mode="bilinear")[0]
        raw = raw.detach() if view == "second" or name in known else raw
        first, other = (noise(stack, name, n) for stack in ("predicted", "wanted"))
        predicted[name] = prediction(
            name, raw, noise=None if view == "second" else first, mask=mask, options=options
        )
        wanted[name] = prediction(name, raw, noise=other, mask=mask, options=options)
        for maps in (predicted, wanted):
            maps[name] = torch.where(mask, maps[name], neutral(name, options))
        if name in known:
            target = batch.targets[name]
            wanted[name] = label(name, target.value[n].double(), target.valid[n, 0], options)
    return predicted, wanted, mask


def error(name, raw, maps, mask):
    """The mean error of one image's reconstruction over the mask."""
    raw, maps = raw[:, mask], maps[:, mask]
    if name == "semseg":
        p = raw.sigmoid()
        return -(maps * p.log() + (1 - maps) * (1 - p).log()).sum(0).mean()
    if name == "depth":
        return (raw.sigmoid() - maps).abs().mean()
    vectors = 2 * maps - 1
    return (
        1 - (raw * vectors).sum(0) / (raw.norm(dim=0) * vectors.norm(dim=0)).clamp(min=1e-8)
    ).mean()


def released_error(name, raw, aim, mask, options):
    """The error of one image's reconstruction as the released code has it."""
    count = max(int((aim != 0).sum()), 1)
    if name == "semseg":
        p = raw.sigmoid()
        lost = -(aim * p.log() + (1 - aim) * (1 - p).log())
        return (lost * mask).sum() / count
    if name == "depth":
        made = (raw.sigmoid() - 0.5) * (1 - 1e-5) + 0.5
        return ((made - normal(aim, options)).abs() * mask).sum() / count
    return 1 - (raw / raw.norm(dim=0) * aim * mask).sum() / count


def released_aims(step, n, predicted, mask, options, noise):
    """What the released code compares both reconstructions of one image with, by task."""
    batch, output = step.views.get("second", (step.batch, step.output))
    first, second = dict(predicted), {}
    for name in step.tasks:
        raw = functional.interpolate(output.final[name][n : n + 1], size=SIZE, mode="bilinear")[0]
        raw, target = raw.detach(), batch.targets[name]
        second[name] = raw / raw.norm(dim=0) if name == "normals" else raw
        if name == "semseg":
            drawn = [
                prediction(name, raw, noise=noise(stack, name, n), mask=mask, options=options)
                for stack in ("predicted", "wanted")
            ]
            first[name], second[name] = (maps * mask for maps in drawn)
        if target.valid[n].any():
            second[name] = torch.where(target.valid[n], target.value[n].double(), 0.0)
            if name == "semseg":
                second[name] = label(name, target.value[n], target.valid[n, 0], options)
    return first, second


def apart(first, second):
    return 1 - functional.cosine_similarity(first[0], second[0], 0).mean()


def slow_jtr(step, term):
    """The losses of each image in loops."""
    options, rows, found = (
        term.options,
        [0, 1, 2, 3, 5],
        {"distance": [], "codes": [], "reconstruction": []},
    )

    def noise(view):
        def one(stack, name, n):
            generator = step.draws.generator("classes", view, stack, name, step.batch.ids[n])
            return -torch.empty(CLASSES, *SIZE).exponential_(generator=generator).log()

        return one

    copy = MapEncoder(sum(term.channels), options.width).double()
    copy.load_state_dict(term.encoder.state_dict())
    for n in range(6):
        if n not in rows:
            for losses in found.values():
                losses.append(torch.zeros(()).double())
            continue
        first, second, _ = stacks_of(step, "first", n=n, noise=noise("first"), options=options)
        codes = [
            one_image(copy, torch.cat(list(maps.values()))[None])[0] for maps in (first, second)
        ]
        found["distance"].append(options.weight * apart(*codes))
        first, second, mask = stacks_of(step, "second", n=n, noise=noise("second"), options=options)
        made = [
            one_image(term.encoder, torch.cat(list(maps.values()))[None])
            for maps in (first, second)
        ]
        found["codes"].append(options.weight * options.encoder * apart(made[0][0], made[1][0]))
        measure, aims = error, (first, second)
        if options.errors == "released":
            measure = partial(released_error, options=options)
            aims = released_aims(
                step, n, predicted=first, mask=mask, options=options, noise=noise("again")
            )
        errors = [
            measure(name, part, maps[name], mask)
            for (_, raw), maps in zip(made, aims, strict=True)
            for name, part in zip(step.tasks, raw[0].split(term.channels), strict=True)
        ]
        found["reconstruction"].append(options.reconstruction * sum(errors))
    return {name: torch.stack(losses) for name, losses in found.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"view": "batch"},
        {"scale": "maximum", "weight": 1.0, "encoder": 0.5, "reconstruction": 3.0},
        {"errors": "released"},
        {"errors": "released", "view": "batch", "scale": "maximum"},
    ],
    ids=lambda changes: "-".join(changes) or "default",
)
def test_the_losses_are_those_of_one_image_at_a_time(tmp_path, changes):
    moments = {} if "scale" in changes else {"mean": MEAN, "deviation": DEVIATION}
    training, step = step_of(tmp_path, Options(width=4, **moments, **changes))
    term = training.plan.terms["it"]
    with torch.no_grad():  # norms that change what they see
        for p in term.encoder.parameters():
            p.add_(
                0.1
                * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(1))
            )
    found, wanted = term.loss(step), slow_jtr(step, term)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-9, atol=1e-12)
    assert bool((found["distance"] > 0.01).sum() == 5) and found["distance"][4] == 0
    parameters = [*training.network.parameters(), *term.parameters()]
    gradients = [
        torch.autograd.grad(
            sum(x.sum() for x in losses.values()), parameters, allow_unused=True, retain_graph=True
        )
        for losses in (found, wanted)
    ]
    for a, b in zip(*gradients, strict=True):
        assert (a is None) == (b is None) or not (a if b is None else b).any()
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_the_auto_encoder_has_the_released_number_of_parameters():
    """24,989,427 for NYUv2's 17 channels, of which 34 are those of a norm that is not used."""
    assert sum(p.numel() for p in MapEncoder(13 + 1 + 3, 64).parameters()) == 24_989_427 - 2 * 17
