"""Direct-Map, Perceptual-Map and X-task against slow versions in float64: one pair of tasks and one image at a time."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from labelgrid.train.terms import direct_map, perceptual_map, x_task
from tests.reference.test_mtpsl import CLASSES, LABELLED, step_of

SIZE, WIDTH, NAMES = (32, 64), 2, ("semseg", "depth", "normals")
#: The weights of the kinds' losses.
WEIGHTS = {"semseg": 1.0, "depth": 1.0, "normals": 10.0}


def holed_step(folder, module, options):
    """A training and a step in float64.

    The labels have a hole, in which the predicted depth has its largest values. Speckles keep them
    from being flat elsewhere: which of equal values a pooling takes would depend on rounding.
    """
    training, step = step_of(folder, module, options)
    with torch.no_grad():  # so that no bias is 0, and no vector that the mappings predict
        for p in training.plan.terms["it"].parameters():
            p.add_(
                0.1
                * torch.randn(
                    p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(p.numel())
                )
            )
    hole = torch.ones(1, 1, *SIZE, dtype=torch.bool)
    hole[..., 4:8, 32:36] = False
    seen = hole & (torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)) < 0.5)
    targets = {
        name: replace(target, valid=target.valid & seen)
        for name, target in step.batch.targets.items()
    }
    final = {**step.output.final, "depth": step.output.final["depth"] + 3 * (~hole[..., ::4, ::4])}
    assert final["depth"].shape[-2:] == (8, 16)
    return training, replace(
        step, batch=replace(step.batch, targets=targets), output=replace(step.output, final=final)
    )


def segnet(network, maps, running=False):
    """Raw outputs of a whole SegNet for maps [m, c, 32, 64], by the weights in their order."""

    def layer(block, x):
        convolution, norm, _ = block
        x = functional.conv2d(x, convolution.weight, convolution.bias, padding=1)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        if running:
            mean, variance = norm.running_mean, norm.running_var
        x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        return functional.relu(x * norm.weight[:, None, None] + norm.bias[:, None, None])

    x, places, body = maps, [], network.body
    for stage in range(5):
        for block in (body.first[stage], *body.second[stage]):
            x = layer(block, x)
        x, place = functional.max_pool2d(x, 2, return_indices=True)
        places.append(place)
    for stage in reversed(range(5)):
        x = functional.max_unpool2d(x, places[stage], 2)
        for block in (body.first_up[stage], *body.second_up[stage]):
            x = layer(block, x)
    return functional.conv2d(x, network.last.weight, network.last.bias)


def noise_of(step, images):
    """The Gumbel noise of the images whose classes are drawn."""
    generators = {n: step.draws.generator("classes", "semseg", step.batch.ids[n]) for n in images}
    return {
        n: -torch.empty(CLASSES, *SIZE).exponential_(generator=one).log()
        for n, one in generators.items()
    }


def prediction(step, name, image, noise, valid=None, detach=False):
    """One image's map [c, h, w] of a prediction.

    Neutral where the label is not valid, if that counts.
    """
    raw = step.output.final[name][image]
    raw = functional.interpolate(raw[None], size=SIZE, mode="bilinear", align_corners=False)[0]
    raw = raw.detach() if detach else raw
    valid = torch.ones(SIZE, dtype=torch.bool) if valid is None else valid
    if name == "semseg":
        soft = (raw + noise[image]).softmax(0)
        picked = functional.one_hot(soft.argmax(0), CLASSES).permute(2, 0, 1).double()
        return torch.where(valid, picked - soft.detach() + soft, 0.0)
    if name == "depth":
        raw = torch.where(valid, raw, 0.0)
        return raw / (raw.max() + 1e-12)
    return torch.where(valid, (raw / raw.norm(dim=0) + 1) / 2, 0.5)


def label(step, name, image):
    """One image's map [c, h, w] of a label."""
    value, valid = step.batch.targets[name].value[image], step.batch.targets[name].valid[image, 0]
    if name == "semseg":
        return torch.stack([(value[0] == k) & valid for k in range(CLASSES)]).double()
    if name == "depth":
        value = torch.where(valid, value, 0.0)
        return value / (value.max() + 1e-12)
    return torch.where(valid, (value + 1) / 2, 0.5)


def task_loss(step, name, raw, image):
    """A task's own loss of one image's raw output [c, h, w]."""
    value, valid = step.batch.targets[name].value[image], step.batch.targets[name].valid[image, 0]
    if name == "semseg":
        pixels = -raw.log_softmax(0).gather(0, torch.where(valid, value, 0).long())[0]
    elif name == "depth":
        pixels = (raw - value).abs()[0]
    else:
        pixels = (raw / raw.norm(dim=0) - value).abs().mean(0)
    return pixels[valid].mean()


def apart(name, mapped, wanted):
    """The distance of two raw outputs [c, h, w] of a task: KL, metres, 1 - cosine."""
    if name == "semseg":
        p, q = wanted.softmax(0), mapped.softmax(0)
        return (p * (p.log() - q.log())).sum(0).mean()
    if name == "depth":
        return (mapped - wanted).abs().mean()
    return (1 - (mapped / mapped.norm(dim=0) * (wanted / wanted.norm(dim=0))).sum(0)).mean()


def slow_direct(step, term, sources, detach=False):
    """The sums over pairs of a source and a labelled target of each image, and the number of its sources."""
    total = [torch.zeros((), dtype=torch.float64) for _ in LABELLED]
    is_source = torch.ones_like(LABELLED) if sources == "all" else ~LABELLED
    drawn = [n for n in range(6) if is_source[n, 0] and LABELLED[n, 1:].any()]
    noise = noise_of(step, drawn)
    for s, source in enumerate(NAMES):
        for t, target in enumerate(NAMES):
            images = [n for n in range(6) if s != t and is_source[n, s] and LABELLED[n, t]]
            if images:
                maps = torch.stack(
                    [prediction(step, source, n, noise, detach=detach) for n in images]
                )
                for n, raw in zip(
                    images, segnet(term.maps.networks[f"{source}>{target}"], maps), strict=True
                ):
                    total[n] = total[n] + WEIGHTS[target] * task_loss(step, target, raw, n)
    return torch.stack(total), is_source.sum(1).clamp(min=1)


def slow_distance(step, term, fixed=False):
    """The sums over pairs of a labelled source and any target of each image, and the number of its sources."""
    total = [torch.zeros((), dtype=torch.float64) for _ in LABELLED]
    noise = noise_of(step, [n for n in range(6) if LABELLED[n, 0]])
    for s, source in enumerate(NAMES):
        for t, target in enumerate(NAMES):
            images, network = (
                [n for n in range(6) if s != t and LABELLED[n, s]],
                f"{source}>{target}",
            )
            if images:
                valid = step.batch.targets[source].valid[:, 0]
                maps = [
                    prediction(step, source, image=n, noise=noise, valid=valid[n]) for n in images
                ]
                maps += [label(step, source, n) for n in images]
                raws = segnet(term.maps.networks[network], torch.stack(maps), running=fixed)
                for n, first, second in zip(
                    images, raws[: len(images)], raws[len(images) :], strict=True
                ):
                    total[n] = total[n] + WEIGHTS[target] * apart(target, first, second)
    return torch.stack(total), LABELLED.sum(1).clamp(min=1)


def same(found, wanted, parameters):
    """Losses and their gradients are equal; a gradient that is None equals one of 0."""
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    gradients = [
        torch.autograd.grad(losses.sum(), parameters, allow_unused=True, retain_graph=True)
        for losses in (found, wanted)
    ]
    assert any(x is not None and x.any() for x in gradients[0])
    filled = [
        [torch.zeros_like(p) if x is None else x for p, x in zip(parameters, one, strict=True)]
        for one in gradients
    ]
    torch.testing.assert_close(*filled, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [{}, {"divide": False, "weight": 2.0}, {"sources": "all"}, {"recompute": True}],
    ids=lambda changes: "-".join(map(str, changes)) or "default",
)
def test_direct_map_is_the_targets_own_loss_of_each_mapped_prediction(tmp_path, changes):
    options = direct_map.Options(width=WIDTH, **changes)
    training, step = holed_step(tmp_path, direct_map, options)
    term = training.plan.terms["it"]
    total, sources = slow_direct(step, term, options.sources)
    wanted = options.weight * total / (sources if options.divide else 1)
    same(term.loss(step)["direct"], wanted, [*training.network.parameters(), *term.parameters()])


@pytest.mark.parametrize(
    "changes", [{}, {"divide": False, "weight": 0.5}, {"recompute": True}], ids=str
)
def test_perceptual_map_is_the_distance_of_both_mapped_maps_of_which_the_mapping_learns_nothing(
    tmp_path, changes
):
    options = perceptual_map.Options(width=WIDTH, **changes)
    training, step = holed_step(tmp_path, perceptual_map, options)
    term, own = training.plan.terms["it"], training.terms.own
    with own.freeze():
        found = term.loss(step)
    assert found.keys() == {"distance"}
    total, sources = slow_distance(step, term)
    wanted = options.weight * total / (sources if options.divide else 1)
    same(found["distance"], wanted, list(training.network.parameters()))
    reached = torch.autograd.grad(
        found["distance"].sum(), list(term.parameters()), allow_unused=True
    )
    assert all(gradient is None for gradient in reached)
    (beside,) = own.declared["it"].values()
    same(
        beside.loss(step)["direct"],
        slow_direct(step, term, "all", detach=True)[0],
        beside.parameters,
    )
    network = list(training.network.parameters())
    reached = torch.autograd.grad(beside.loss(step)["direct"].sum(), network, allow_unused=True)
    assert all(gradient is None for gradient in reached)


def test_jointly_the_mapping_learns_from_both_losses(tmp_path):
    training, step = holed_step(
        tmp_path, perceptual_map, perceptual_map.Options(width=WIDTH, learn="both")
    )
    term = training.plan.terms["it"]
    assert not training.terms.own.parameters
    total, sources = slow_distance(step, term)
    wanted = total / sources + slow_direct(step, term, "all", detach=True)[0]
    same(
        sum(term.loss(step).values()), wanted, [*training.network.parameters(), *term.parameters()]
    )


@pytest.mark.parametrize("recompute", [False, True])
def test_x_task_is_the_distance_of_both_maps_by_fixed_mappings(tmp_path, recompute):
    training, step = holed_step(tmp_path, x_task, x_task.Options(width=WIDTH, recompute=recompute))
    term, generator = training.plan.terms["it"], torch.Generator().manual_seed(0)
    term.trained |= term.allowed
    for name, buffer in term.maps.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(generator=generator)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0, generator=generator)
    before = {name: value.clone() for name, value in term.state_dict().items()}
    found, (total, sources) = term.loss(step)["distance"], slow_distance(step, term, fixed=True)
    same(found, total / sources, list(training.network.parameters()))
    assert all(torch.equal(before[name], value) for name, value in term.state_dict().items())
    assert not any(p.requires_grad for p in term.parameters())
