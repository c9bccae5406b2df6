"""Made outcomes of studies: runs whose losses fall as labels come in, with what a test plants in them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from labelgrid.basics.results import Result
from labelgrid.lab.reports.study_content import PointResults, RunResult, StudyReport
from labelgrid.project.records import Measurement

HEADLINES = {"semseg": "mIoU", "depth": "RMSE"}
#: Added to a strategy's loss: by its name, seed and place.
Effect = Callable[[str, int, int], float]


def network(place: int, loss: float, labels: int | None = None) -> Measurement:
    """A network after so many rounds: 10 labels of each task at the start, 5 more a round.

    RMSE is half the loss.
    """
    own = 10 + 5 * place if labels is None else labels
    metrics = {
        "semseg": {"mIoU": Result("mIoU", 100 - 10 * loss, "%", "higher")},
        "depth": {"RMSE": Result("RMSE", loss / 2, "m", "lower")},
    }
    return Measurement(
        round=place + 1,
        model="",
        labels={"semseg": own, "depth": own},
        spent=11.0 * own,
        heldout_labels={},
        metrics=metrics,
        loss_mtl=loss,
    )


def runs(strategies: Sequence[str], seeds: int, effect: Effect, rounds: int = 3) -> list[RunResult]:
    """All runs of a study: a loss of 6 at the start that falls by 0.5 a round, and of 3 with every label."""
    found = []
    for seed in range(seeds):
        base = 0.3 * np.sin(seed)
        for name in strategies:
            losses = [
                6.0 + base - 0.5 * k + (effect(name, seed, k) if k else 0.0)
                for k in range(rounds + 1)
            ]
            measured = [network(k, loss) for k, loss in enumerate(losses)]
            found.append(
                RunResult(
                    key=f"{name}-seed{seed}",
                    kind="strategy",
                    strategy=name,
                    seed=seed,
                    measured=measured,
                    expected=rounds + 1,
                )
            )
        found.append(
            RunResult(
                key=f"full-seed{seed}",
                kind="full",
                strategy="full",
                seed=seed,
                measured=[network(9, 3.0 + base, 100)],
                expected=1,
            )
        )
    return found


def nothing(_name: str, seed: int, place: int) -> float:
    """No effect, for any strategy."""
    return 0.0


def noise(seed: int, size: float = 0.05) -> Effect:
    """Draws around 0 for all alike."""
    rng = np.random.default_rng(seed)
    return lambda _name, _seed, _place: float(rng.normal(0, size))


def planted(name: str, size: float) -> Effect:
    """One strategy's loss is so much lower after every round, but for a little noise."""
    rng = np.random.default_rng(3)
    return lambda own, _seed, _place: float(rng.normal(0, 0.02)) - (size if own == name else 0.0)


def point_results(
    effect: Effect = nothing, seeds: int = 3, strategies: Sequence[str] = ("partal", "random_cells")
) -> PointResults:
    """A study of one point."""
    return PointResults(point="", strategies=strategies, runs=runs(strategies, seeds, effect))


def cheaper(results: PointResults, strategy: str, factor: float) -> PointResults:
    """The same runs, where what a strategy buys after the first network costs less."""
    found = []
    for run in results.runs:
        if run.strategy == strategy:
            first = run.measured[0].spent
            own = [replace(one, spent=first + factor * (one.spent - first)) for one in run.measured]
            run = replace(run, measured=own)
        found.append(run)
    return replace(results, runs=found)


def study(*points: PointResults) -> StudyReport:
    """A study's report."""
    about = {"Seeds": "3", "Data hash": "abc123"}
    return StudyReport(
        name="first-light",
        made="today",
        about=about,
        headlines=HEADLINES,
        costs={"semseg": 10.0, "depth": 1.0},
        reference="random_cells",
        points=points,
    )
