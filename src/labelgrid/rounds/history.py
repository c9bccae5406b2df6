"""Reads the history that strategies may see: labels, cost and val metrics of trainings, never held-out metrics."""

from pathlib import Path

from labelgrid.project.records import fit_val_metrics, read_fit
from labelgrid.select.strategy import TrainedRound


def history_of(folder: Path) -> tuple[TrainedRound, ...]:
    """The finished trainings in a project's folder, by round.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    history = []
    for path in sorted(folder.glob("rounds/*/fit.json")):
        fit = read_fit(path.parent)
        if fit:
            val = fit_val_metrics(path.parent, fit.checkpoint)
            history.append(TrainedRound(fit.round, fit.labels, fit.spent, val))
    return tuple(history)
