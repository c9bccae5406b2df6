"""Finds the tables of scores of a project's rounds. Loads no torch."""

from pathlib import Path

from labelgrid.project.folder import ProjectFolder

#: The folder of a round's scores, in that of the round.
SCORES = "scores"


def scores_folder(project: ProjectFolder, number: int) -> Path:
    """The folder of a round's scores."""
    return project.round_folder(number) / SCORES


def scores_file(project: ProjectFolder, number: int) -> Path:
    """The place of a round's table of scores."""
    from labelgrid.score.table import FILE  # slow to load

    return scores_folder(project, number) / FILE


def newest_scores(project: ProjectFolder) -> Path | None:
    """The newest table of scores; None if there is none."""
    from labelgrid.score.table import FILE  # slow to load

    tables = sorted(project.folder.glob(f"rounds/*/{SCORES}/{FILE}"))
    return tables[-1] if tables else None
