"""Reads what strategies may see of a project's finished trainings. Loads no torch."""

from pathlib import Path

from labelgrid.project.records import fit_val_metrics, read_fit
from labelgrid.select.strategy import TrainedRound


def training_history(folder: Path) -> tuple[TrainedRound, ...]:
    """What strategies may see of the finished trainings in a project's folder, by round.

    These are labels, costs and metrics on the val images, never metrics on held-out images.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    history = []
    for path in sorted(folder.glob("rounds/*/fit.json")):
        fit = read_fit(path.parent)
        if fit:
            val = fit_val_metrics(path.parent, fit.checkpoint)
            trained = TrainedRound(
                round=fit.round, labels=fit.labels, cost=fit.spent, val=val, derived=fit.derived
            )
            history.append(trained)
    return tuple(history)
