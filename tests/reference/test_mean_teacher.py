"""The mean teacher against slow versions in float64: its average by hand, its masks and losses an image at a time."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from labelgrid.basics.progress import Silent
from labelgrid.data.loader import train_batch
from labelgrid.testing.trainings import dataset, trainer
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.mean_teacher import Options, build

#: Which labels of semseg, depth and normals the six images have.
LABELLED = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]]).bool()
SIZE, WEIGHTS = (32, 64), {"semseg": 1.0, "depth": 1.0, "normals": 10.0}


def training_of(folder, options):
    made = dataset(folder)
    training = trainer(made, lambda tasks, network: build(tasks, network, options), batch=6)
    training.prepare(folder / "terms", Silent(), resumed=False)
    return training


def step_of(training, number=0):
    """The term's step in float64 for a batch with gaps in its labels.

    The teacher has weights of its own.
    """
    plan = training.plan
    for part in (plan.network, *plan.terms.values()):
        part.double().train()
    with torch.no_grad():
        for p in plan.terms["it"].teacher.parameters():
            p.add_(
                0.02
                * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(2))
            )
            if p.shape == (1,):
                p.add_(1.0)  # depths above 0 count
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    targets = {
        name: target.where(LABELLED[:, i]) for i, (name, target) in enumerate(batch.targets.items())
    }
    targets = {
        n: replace(t, value=t.value.double() if t.value.is_floating_point() else t.value)
        for n, t in targets.items()
    }
    batch = replace(batch, images=batch.images.double(), targets=targets)
    with seed_torch(0, "forward"):
        output = plan.network(batch.images)
    losses = task_losses(plan.tasks, output, batch.targets, 1.0)
    return training.terms.steps(batch, output, losses, number)["it"]


def values(name, raw):
    """One image's prediction [c, h, w]."""
    raw = functional.interpolate(raw, size=SIZE, mode="bilinear")[0]
    return {
        "semseg": lambda: raw.softmax(0),
        "depth": lambda: raw,
        "normals": lambda: raw / raw.norm(dim=0),
    }[name]()


def gap(name, first, second):
    if name == "depth":
        return (first - second).abs()[0]
    return 1 - (first * second).sum(0)


def pixel_loss(name, raw, wanted):
    predicted = values(name, raw)
    if name == "semseg":
        return -predicted.gather(0, wanted[None])[0].log()
    return (predicted - wanted).abs().mean(0)


def slow_losses(step, teacher, options, ramp):
    """The losses of each image and task."""
    names, (_, student) = list(step.tasks), step.views["strong"]
    found = {name: torch.zeros(6).double() for name in names}
    shares = []
    for n in range(6):
        lacking = [name for i, name in enumerate(names) if not LABELLED[n, i]]
        image = step.batch.images[n : n + 1]
        known = {name: target[slice(n, n + 1)] for name, target in step.batch.targets.items()}
        for name in lacking:
            prediction = values(name, teacher(image, known if options.known else None).final[name])
            wanted = prediction
            if name == "semseg":
                wanted, mask = prediction.argmax(0), prediction.max(0).values >= options.confidence
            else:
                plain = values(name, teacher(image).final[name])
                mirrored = values(name, teacher(image.flip(-1)).final[name]).flip(-1)
                if name == "normals":
                    mirrored = mirrored * torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
                usable = (
                    (prediction > 0)[0] if name == "depth" else torch.ones(SIZE, dtype=torch.bool)
                )
                gaps = gap(name, plain, mirrored)
                limit = (
                    gaps[usable].sort().values[math.ceil(options.certain * int(usable.sum())) - 1]
                )
                mask = usable & (gaps <= limit)
            shares.append(float(mask.double().mean()))
            loss = 0.0
            for raws in (student.final, *student.initial):  # [objective] initial is 1
                if mask.any():
                    loss += (
                        pixel_loss(name, raws[name][n : n + 1], wanted) * mask
                    ).sum() / mask.numel()
            found[name][n] += options.weight * ramp * WEIGHTS[name] * loss / len(lacking)
    assert any(0 < share < 1 for share in shares)
    return found


@pytest.mark.parametrize(
    "changes",
    [{"operations": 0}, {"known": True, "weight": 3.0, "certain": 0.3}, {"ramp": 0.8}],
    ids=lambda changes: "-".join(changes),
)
def test_losses_are_those_of_one_image_and_task_at_a_time(tmp_path, changes):
    options = Options(confidence=0.3, **changes)
    training = training_of(tmp_path, options)
    step, term = step_of(training, number=1), training.plan.terms["it"]
    assert step.progress == 0.5
    teacher = copy.deepcopy(term.teacher).eval()
    ramp = math.exp(-5 * (1 - 0.5 / 0.8) ** 2) if options.ramp else 1.0
    with torch.no_grad():
        wanted = slow_losses(step, teacher, options, ramp)
    found = term.loss(step)
    for name in wanted:
        torch.testing.assert_close(
            found[name].detach(), wanted[name], rtol=1e-7, atol=1e-9
        )  # shares of pixels are float32
    missing = ~LABELLED
    for i, name in enumerate(wanted):
        assert bool((found[name] > 0).any()) and not found[name][~missing[:, i]].any()


def test_the_teacher_is_the_plain_average_at_first_and_then_a_moving_one(tmp_path):
    """theta'_n = a theta'_{n-1} + (1 - a) theta_n with a = min(1 - 1 / (n + 1), decay), of weights and statistics."""
    training = training_of(tmp_path, Options(decay=0.7))
    term, network = training.plan.terms["it"], training.network
    kept, wanted = [], {name: x.clone() for name, x in term.teacher.state_dict().items()}
    batches = [batch for epoch in range(6) for batch in training._batches(epoch)]
    training.network.train()
    for index, batch in enumerate(batches):
        training.train_step(batch, index)
        kept.append({name: x.clone().double() for name, x in network.state_dict().items()})
        a = min(1 - 1 / (index + 1), 0.7)
        wanted = {name: a * wanted[name] + (1 - a) * x for name, x in kept[-1].items()}
        if index == 2:
            plain = {name: sum(state[name] for state in kept) / 3 for name in wanted}
            same(term.teacher.state_dict(), plain)
    assert len(kept) == 6
    same(term.teacher.state_dict(), wanted)
    assert not any(p.requires_grad for p in term.parameters())


def same(found, wanted):
    """Floats are the average; the counts of batch norm are the network's."""
    for name, x in found.items():
        if x.is_floating_point():
            torch.testing.assert_close(x.double(), wanted[name].double(), rtol=1e-5, atol=1e-6)
