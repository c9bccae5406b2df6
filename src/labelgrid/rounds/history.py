"""What strategies may know of a campaign's trainings: labels, cost and val figures, nothing of held-out labels."""

from pathlib import Path

from labelgrid.project.artifacts import read_fit, read_log, val_figures
from labelgrid.select.strategy import TrainedRound


def history_of(folder: Path) -> tuple[TrainedRound, ...]:
    """The finished trainings of a project's folder, by round.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    found = []
    for path in sorted(folder.glob("rounds/*/fit.json")):
        done = read_fit(path.parent)
        if done:
            val = val_figures(read_log(path.parent) or [], done.checkpoint)
            found.append(TrainedRound(done.round, done.labels, done.spent, val))
    return tuple(found)
