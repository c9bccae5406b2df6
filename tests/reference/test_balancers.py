"""The balancers against slow float64 versions of their equations: every switch, two reductions, all and few labels."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from labelgrid.train.balance import dwa, gradnorm, mgda, torchjd, uncertainty
from labelgrid.train.objective import supervised_loss
from tests.balancing import FULL, PRESENT, TASKS, Toy, combined

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
reductions = pytest.mark.parametrize("reduction", ["image_mean", "task_sum"])
labels = pytest.mark.parametrize("present", [FULL, PRESENT], ids=["full", "partial"])
scales = pytest.mark.parametrize("scale", [1.0, 256.0])


def built(module, reduction, **options):
    made = module.build(
        WEIGHTS, partial(supervised_loss, reduction=reduction), module.Options(**options)
    )
    return made.double()


def assert_gradients(toy, expected):
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def derivative(function, at, step=1e-5):
    """The central difference of a function of one number."""
    return (function(at + step) - function(at - step)) / (2 * step)


@reductions
@labels
@scales
@pytest.mark.parametrize("form", ["mtan", "kendall"])
def test_uncertainty(reduction, present, scale, form):
    toy, logs = Toy(scale=scale), {"a": 0.3, "b": -1.2, "c": 0.7}
    balancer = built(uncertainty, reduction, form=form)
    for name, value in logs.items():
        balancer.logs[name].data.fill_(value)
    total = balancer.backward(toy.step(present, classes=["b"]))
    factors = {
        name: (1 if form == "kendall" and name == "b" else 0.5) * np.exp(-log)
        for name, log in logs.items()
    }
    assert_gradients(toy, combined(toy, toy.shares(present, reduction, WEIGHTS), factors, factors))

    def objective(found):
        """The loss label by label: of each image its labels' mean, or of each task its labels' sum."""
        losses, value = toy.losses()[1], toy.other().item()
        for n, (t, name) in itertools.product(range(4), enumerate(TASKS)):
            if present[n, t]:
                share = (
                    1 / (4 * present[n].sum())
                    if reduction == "image_mean"
                    else 1 / present[:, t].sum()
                )
                whole = form == "kendall" and name == "b"
                error = WEIGHTS[name] * losses[name][n].item() / np.exp(found[name])
                value += float(share) * ((error if whole else error / 2) + found[name] / 2)
        return value

    assert float(total) == pytest.approx(objective(logs))
    for name, value in logs.items():
        slope = derivative(lambda log, name=name: objective({**logs, name: log}), value)
        assert float(balancer.logs[name].grad) / scale == pytest.approx(slope, abs=1e-7)


@reductions
@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_dwa(reduction, temperature):
    """Five epochs of two steps.

    The losses change by the goals, and `c` has no label in the third epoch.
    """
    balancer, toy, means = built(dwa, reduction, temperature=temperature), Toy(), []
    without_c = PRESENT & torch.tensor([True, True, False])
    for epoch in range(5):
        collected = {name: [] for name in TASKS}
        ratios = {}
        for t, name in enumerate(TASKS):
            past = [mean[t] for mean in means if mean[t] is not None]
            if len(past) > 1:
                ratios[name] = past[-1] / past[-2]
        exponents = {name: np.exp(ratio / temperature) for name, ratio in ratios.items()}
        weights = {
            n: len(ratios) * exponents[n] / sum(exponents.values()) if n in ratios else 1.0
            for n in TASKS
        }
        for number in range(2):
            toy.goals = toy.goals + 0.1 * torch.sin(
                torch.arange(12.0).double().view(4, 3) + 3 * epoch + number
            )
            present = without_c if epoch == 2 else (FULL, PRESENT)[number]
            losses = toy.losses()[1]
            for n, (t, name) in itertools.product(range(4), enumerate(TASKS)):
                if present[n, t]:
                    collected[name].append(losses[name][n].item())
            total = balancer.backward(toy.step(present, epoch))
            shares = toy.shares(present, reduction, WEIGHTS)
            assert_gradients(toy, combined(toy, shares, weights, weights))
            expected = (
                sum(weights[name] * share.item() for name, share in shares.items())
                + toy.other().item()
            )
            assert float(total) == pytest.approx(expected)
        means.append([np.mean(found) if found else None for found in collected.values()])
        assert (epoch < 2) == (set(weights.values()) == {1.0})


def slow_targets(toy, layer, reduction, weights, alpha):
    """For each batch its labelled tasks: norms without weights, and what the weighted norms are to become."""
    first = {}
    for present in (PRESENT & torch.tensor([True, True, False]), PRESENT, FULL):
        shares = toy.shares(present, reduction, WEIGHTS)
        if layer == "features":  # the features are an input of the heads: each image has its own
            found = np.linalg.norm(at_features(toy, present, reduction), axis=1)
            norms = dict(zip(shares, found.tolist(), strict=True))
        else:
            norms = {
                name: float(toy.gradients(share)["1.weight"].norm())
                for name, share in shares.items()
            }
        losses = toy.losses()[1]
        means = {
            n: losses[n][present[:, t]].mean().item() for t, n in enumerate(TASKS) if n in shares
        }
        for name, mean in means.items():
            first.setdefault(name, mean)
        fallen = {name: mean / first[name] for name, mean in means.items()}
        average = np.mean([weights[name] * norms[name] for name in shares])
        rates = {name: fallen[name] / np.mean(list(fallen.values())) for name in shares}
        yield present, shares, norms, {name: average * rates[name] ** alpha for name in shares}


def off_target(norm, target, weight):
    return abs(weight * norm - target)


def at_features(toy, present, reduction):
    """The gradient of each task's share at the features, by central differences of a shift that is added to them."""
    original = toy.second.forward

    def shares(row, channel, size):
        shift = torch.zeros(4, 4).double()
        shift[row, channel] = size
        toy.second.forward = lambda hidden: original(hidden) + shift
        found = toy.shares(present, reduction, WEIGHTS)
        toy.second.forward = original
        return np.array([share.item() for share in found.values()])

    slopes = [
        derivative(partial(shares, row, channel), 0.0)
        for row, channel in itertools.product(range(4), repeat=2)
    ]
    return np.stack(slopes, 1)


@reductions
@scales
@pytest.mark.parametrize("alpha", [1.5, 0.0])
@pytest.mark.parametrize("at", ["layer", "features"])
@pytest.mark.parametrize("heads", ["weighted", "plain"])
def test_gradnorm(reduction, scale, alpha, at, heads):
    toy, weights = Toy(scale=scale), {"a": 0.5, "b": 1.7, "c": 0.8}
    balancer = built(gradnorm, reduction, alpha=alpha, at=at, heads=heads)
    for name, value in weights.items():
        balancer.weights[name].data.fill_(7 * value)  # the balancer makes their sum 3
    for present, shares, norms, targets in slow_targets(
        toy, at, reduction=reduction, weights=weights, alpha=alpha
    ):
        total = balancer.backward(toy.step(present))
        own = weights if heads == "weighted" else dict.fromkeys(weights, 1.0)
        assert_gradients(toy, combined(toy, shares, weights, own))
        expected = (
            sum(weights[name] * share.item() for name, share in shares.items()) + toy.other().item()
        )
        assert float(total) == pytest.approx(expected)
        for name in TASKS:
            found = balancer.weights[name]
            assert found.item() == pytest.approx(weights[name])
            if name not in shares:
                assert found.grad is None
                continue
            slope = derivative(partial(off_target, norms[name], targets[name]), weights[name])
            assert float(found.grad) / scale == pytest.approx(slope, rel=1e-5)
            found.grad = None
        toy.goals = toy.goals + 0.2


def slow_least_norm(vectors):
    """Moves weight from one vector to another while the norm falls, in ever smaller amounts."""
    weights, step = np.full(len(vectors), 1 / len(vectors)), 0.25
    while step > 1e-10:
        moved = [weights]
        for i, j in itertools.permutations(range(len(vectors)), 2):
            amount = min(step, weights[i])
            moved.append(
                weights - amount * np.eye(len(vectors))[i] + amount * np.eye(len(vectors))[j]
            )
        best = min(moved, key=lambda tried: float(np.linalg.norm(tried @ vectors)))
        step, weights = (step / 2 if best is weights else step), best
    return weights


@reductions
@labels
@scales
@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
@pytest.mark.parametrize("heads", ["plain", "weighted"])
def test_mgda(reduction, present, scale, at, normalise, heads):
    toy = Toy(seed=4, scale=scale)
    shares = toy.shares(present, reduction, WEIGHTS)
    if at == "parameters":
        found = [toy.gradients(share) for share in shares.values()]
        vectors = torch.stack(
            [torch.cat([g[k].flatten() for k in g if toy.is_shared(k)]) for g in found]
        ).numpy()
    else:
        vectors = at_features(toy, present, reduction)
    norms, values = (
        np.linalg.norm(vectors, axis=1),
        np.array([share.item() for share in shares.values()]),
    )
    divided = (
        vectors
        / {"none": norms**0, "l2": norms, "loss": values, "loss+": values * norms}[normalise][
            :, None
        ]
    )
    best = slow_least_norm(divided)
    weights = dict(zip(shares, best, strict=True))
    balancer = built(mgda, reduction, at=at, normalise=normalise, heads=heads)
    total = balancer.backward(toy.step(present))
    expected = combined(
        toy, shares, weights, weights if heads == "weighted" else dict.fromkeys(shares, 1.0)
    )
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name, rtol=1e-5, atol=1e-6)
    assert float(total) == pytest.approx(best @ values + toy.other().item(), rel=1e-5)


@reductions
@labels
@pytest.mark.parametrize("at", ["features", "parameters"])
def test_torchjd_gives_the_shared_part_its_aggregate(reduction, present, at):
    aggregation = pytest.importorskip(
        "torchjd.aggregation", reason="its aggregators need the extra [balance]"
    )
    toy = Toy(scale=16.0)
    shares = toy.shares(present, reduction, WEIGHTS)
    built(torchjd, reduction, aggregator="Sum", at=at).backward(toy.step(present))
    assert_gradients(toy, combined(toy, shares, *[dict.fromkeys(TASKS, 1.0)] * 2))
    built(torchjd, reduction, aggregator="UPGrad", at=at).backward(toy.step(present))
    if at == "parameters":
        found = [toy.gradients(share) for share in shares.values()]
        rows = torch.stack(
            [torch.cat([g[k].flatten() for k in g if toy.is_shared(k)]) for g in found]
        )
        mine = torch.cat([g.flatten() for name, g in toy.found().items() if toy.is_shared(name)])
        torch.testing.assert_close(mine, aggregation.UPGrad()(rows))
    own = combined(toy, shares, *[dict.fromkeys(TASKS, 1.0)] * 2)
    for name, gradient in toy.found().items():
        if not toy.is_shared(name):
            torch.testing.assert_close(gradient, own[name])


def test_torchjds_mgda_stops_where_the_exact_weights_go_on():
    aggregation = pytest.importorskip(
        "torchjd.aggregation", reason="its aggregators need the extra [balance]"
    )
    rows = torch.tensor(
        [[0.4, 1.3, -0.1, -2.4], [-0.3, -1.3, 0.1, 2.4], [0.8, 1.7, -0.2, 1.2]]
    ).double()
    exact = torch.from_numpy(mgda.least_norm((rows @ rows.T).numpy())) @ rows
    assert float(aggregation.MGDA()(rows).square().sum()) > 5 * float(exact.square().sum())
