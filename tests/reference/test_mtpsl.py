"""MTPSL's equations against slow versions in float64: one image, one pair and one map at a time, as its code runs."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional

from labelgrid.data.loader import train_batch
from labelgrid.testing.trainings import dataset, trainer
from labelgrid.train.crop_boxes import draw_boxes
from labelgrid.train.mappings import MAPPINGS, SEGNET, segnet_encoder
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms import crop, mtpsl
from tests.reference import slow_mappings

CLASSES = 4
#: Which labels of semseg, depth and normals the six images have.
LABELLED = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]]).bool()


@pytest.fixture
def narrow(monkeypatch):
    """Give SegNet a quarter of its width, which is no option and no part of the equation."""
    stages = [(width // 4, layers) for width, layers in SEGNET]
    monkeypatch.setitem(MAPPINGS, "segnet", partial(segnet_encoder, stages=stages))


def step_of(folder, module, options, labelled=LABELLED):
    """A training with the term, all in float64, and the term's step for a batch with gaps in its labels."""
    made = dataset(folder)
    training = trainer(
        made,
        lambda tasks, network: module.build(tasks, network, options),
        batch=6,
        backbone="mobilenetv2_035",  # of the smallest, some mapped vectors are nearly 0
    )
    plan = training.plan
    for part in (plan.network, *plan.terms.values()):
        part.double().train()
    batch = train_batch(plan.source, plan.definitions, made.names, plan.data, seed=0, soft={})
    targets = {
        name: target.where(labelled[:, i]) for i, (name, target) in enumerate(batch.targets.items())
    }
    targets = {
        n: replace(t, value=t.value.double() if t.value.is_floating_point() else t.value)
        for n, t in targets.items()
    }
    batch = replace(batch, images=batch.images.double(), targets=targets)
    with seed_torch(0, "forward"):
        output = plan.network(batch.images)
    losses = task_losses(plan.tasks, output, batch.targets, 1.0)
    return training, training.terms.steps(batch, output, losses, 0)["it"]


def by_hand(name, raw, size, gumbel=None):
    """One image's prediction [c, h, w] as the released code gives it to the mapping."""
    raw = functional.interpolate(raw[None], size=size, mode="bilinear", align_corners=False)[0]
    if name == "semseg":
        logits = raw + gumbel
        picked = functional.one_hot(logits.argmax(0), len(raw)).permute(2, 0, 1).double()
        soft = logits.exp() / logits.exp().sum(0)
        return picked - soft.detach() + soft
    if name == "depth":
        return raw / (raw.max() + 1e-12)
    return (raw / raw.norm(dim=0) + 1) / 2


def label_by_hand(name, target, image):
    value, valid = target.value[image].double(), target.valid[image, 0]
    if name == "semseg":
        return torch.stack([(value[0] == k) & valid for k in range(CLASSES)]).double()
    value = torch.where(valid, value, 0.0)
    return value / (value.max() + 1e-12) if name == "depth" else (value + 1) / 2


def cosine(a, b):
    """1 - cos at each place, averaged."""
    places = [
        1 - (a[:, i, j] @ b[:, i, j]) / (a[:, i, j].norm() * b[:, i, j].norm())
        for i in range(a.shape[1])
        for j in range(a.shape[2])
    ]
    return sum(places) / len(places)


def joint_maps(step, term, pairs, kind):
    """The maps of each pair (image, source, target), [d, h, w]: of the source's prediction, of the target's label."""
    options, names = term.options, list(step.tasks)
    batch, output = step.views.get("crop", (step.batch, step.output))
    size, together = batch.images.shape[-2:], options.norm == "pass"
    anew = options.draw == "pair"
    rows = [("prediction", s, n, names[t] if anew and s == 0 else "") for n, s, t in pairs]
    rows += [("label", t, n, "") for n, _, t in pairs]
    shared = {}
    for k, name in enumerate(names):
        own, maps = [row for row in dict.fromkeys(rows) if row[1] == k], []
        for what, _, n, other in own:
            keys = (name, other) if other else (name,)
            generator = step.draws.generator("classes", *keys, step.batch.ids[n])
            noise = (
                -torch.empty(CLASSES, *size).exponential_(generator=generator).log()
                if name == "semseg"
                else None
            )
            raw = output.final[name][n]
            maps.append(
                by_hand(name, raw, size, noise)
                if what == "prediction"
                else label_by_hand(name, batch.targets[name], n)
            )
        shared |= dict(
            zip(
                own,
                slow_mappings.own_layers(
                    kind, term.mapping, task=name, maps=maps, together=together
                ),
                strict=True,
            )
        )
    places = [3 * s + t for _, s, t in pairs]
    places += [3 * t + s if options.condition == "input" else 3 * s + t for _, s, t in pairs]
    conditions = [functional.one_hot(torch.tensor(place), 9).double() for place in places]
    maps, stride = [shared[row] for row in rows], options.stride or 32
    maps = slow_mappings.body(
        kind,
        term.mapping,
        maps=maps,
        conditions=conditions,
        together=together,
        stride=stride,
        rectify=options.rectify,
    )
    return list(zip(maps[: len(pairs)], maps[len(pairs) :], strict=True))


def slow_mtpsl(step, term, labelled, kind):
    """Eq. 4 in loops: consistency and regulariser of each image."""
    options, output = term.options, step.views.get("crop", (step.batch, step.output))[1]
    level = {0: -1, 8: 1}[options.stride]  # the network's maps have strides 4, 8, 16 and 32
    sources = [
        [s for s in range(3) if options.sources == "all" or not labelled[n, s]] for n in range(6)
    ]
    pairs = [
        (n, s, t)
        for n in range(6)
        for s in sources[n]
        for t in range(3)
        if s != t and labelled[n, t]
    ]
    found = {"consistency": [0.0] * 6, "regulariser": [0.0] * 6}
    for (n, _, _), (first, second) in zip(pairs, joint_maps(step, term, pairs, kind), strict=True):
        f, divisor = (
            output.features.levels[level][n].detach(),
            len(sources[n]) if options.divide else 1,
        )
        found["consistency"][n] += options.weight * cosine(first, second) / divisor
        found["regulariser"][n] += (
            options.regulariser * (cosine(first, f) + cosine(second, f)) / divisor
        )
    return {
        name: torch.stack([torch.as_tensor(x, dtype=torch.float64) for x in sums])
        for name, sums in found.items()
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"condition": "pair", "divide": False, "weight": 2.0, "regulariser": 1.0},
        {"condition": "none"},
        {"sources": "all"},
        {"maps": 3},
        {"stride": 8},
        {"stride": 8, "rectify": False},
        {"view": "crop", "zooms": (1.5,)},
        {"view": "crop", "zooms": (1.0, 1.5), "flip": 0.5},
        {"draw": "pair"},
        {"draw": "pair", "sources": "all", "maps": 3},
        {"norm": "pass"},
        {"mapping": "segnet"},
        {"mapping": "resnet18"},
        {"mapping": "resnet18", "stride": 8, "rectify": False, "norm": "pass"},
    ],
    ids=lambda changes: "-".join(map(str, changes)) or "paper",
)
@pytest.mark.usefixtures("narrow")
def test_eq_4_is_that_of_one_pair_and_one_map_at_a_time(tmp_path, changes):
    options = {"mapping": "light", **changes}
    training, step = step_of(tmp_path, mtpsl, mtpsl.Options(**options))
    term = training.plan.terms["it"]
    with torch.no_grad():  # conditions change the mapping from the start, and differ
        for p in term.mapping.conditional():
            p.add_(
                0.3
                * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(1))
            )
    found, wanted = term.loss(step), slow_mtpsl(step, term, LABELLED, options["mapping"])
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-9, atol=1e-9)
    assert found["consistency"][4] == 0, "an image without labels has no pair"
    parameters = [*training.network.parameters(), *term.parameters()]
    gradients = [
        torch.autograd.grad(
            sum(x.sum() for x in losses.values()), parameters, allow_unused=True, retain_graph=True
        )
        for losses in (found, wanted)
    ]
    for a, b in zip(*gradients, strict=True):
        assert (a is None) == (b is None) or not (a if b is None else b).any()
        if a is not None and b is not None:  # batch norms of few pixels amplify rounding
            torch.testing.assert_close(
                a, b, rtol=1e-7, atol=max(1e-7 * b.abs().max().item(), 1e-10)
            )


def slow_crop(step, boxes, size, learn):
    """Eq. 2 in loops."""
    losses = []
    for n in range(6):
        total, tasks = 0.0, [k for k in range(3) if not LABELLED[n, k]]
        for k in tasks:
            name = list(step.tasks)[k]
            whole, part = (
                functional.interpolate(
                    raw[n : n + 1], size=to, mode="bilinear", align_corners=False
                )[0]
                for raw, to in (
                    (step.output.final[name], step.batch.images.shape[-2:]),
                    (step.views["crop"][1].final[name], size),
                )
            )
            activate = {
                "semseg": lambda x: x.softmax(0),
                "depth": lambda x: x,
                "normals": lambda x: x / x.norm(dim=0),
            }
            whole, part, box = activate[name](whole), activate[name](part), boxes[n]
            whole = whole[:, box.top : box.top + box.height, box.left : box.left + box.width]
            whole = whole.detach() if learn == "crop" else whole
            total += ((whole - part) ** 2).mean()
        losses.append(torch.as_tensor(total / max(len(tasks), 1), dtype=torch.float64))
    return torch.stack(losses)


@pytest.mark.parametrize("learn", ["both", "crop"])
def test_eq_2_is_the_square_error_of_the_crops_of_unlabelled_tasks(tmp_path, learn):
    training, step = step_of(tmp_path, crop, crop.Options(learn=learn, zoom=1.5))
    boxes = draw_boxes(step.draws.of_view("crop"), step.batch.ids, (32, 64), [1.5])
    assert {(box.height, box.width) for box in boxes} == {(21, 43)} and len(
        {(b.top, b.left) for b in boxes}
    ) > 1
    for n, box in enumerate(boxes):
        torch.testing.assert_close(step.views["crop"][0].images[n], box.cut(step.batch.images[n]))
    found, wanted = (
        training.plan.terms["it"].loss(step)["mse"],
        slow_crop(step, boxes, (21, 43), learn),
    )
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    assert found[3] == 0 and found[4] > 0, "a full image has none, an image without labels has all"
    for a, b in zip(
        *(
            torch.autograd.grad(x.sum(), list(training.network.parameters()), retain_graph=True)
            for x in (found, wanted)
        ),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)
