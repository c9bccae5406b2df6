"""Finds the tables of scores of a project's rounds. Loads no torch."""

from pathlib import Path

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import left_out
from labelgrid.project.folder import ProjectFolder

#: The folder of a round's scores, in that of the round.
SCORES = "scores"


def scores_folder(project: ProjectFolder, number: int) -> Path:
    """The folder that a round's scores are in."""
    return project.round_folder(number) / SCORES


def scores_file(project: ProjectFolder, number: int) -> Path:
    """The place of a round's table of scores."""
    from labelgrid.score.table import FILE  # slow to load

    return scores_folder(project, number) / FILE


def tables_of_scores(project: ProjectFolder) -> list[Path]:
    """All tables of scores: of rounds, of explained picks, and of searches.

    The tables are ordered by round, and within a round by age.
    """
    rounds = project.folder / "rounds"
    tables = [*rounds.glob(f"*/{SCORES}/*.parquet"), *rounds.glob(f"*/{SCORES}/*/*.parquet")]
    named = {"scores.parquet", "explaining.parquet"}
    kept = [path for path in tables if path.name in named]
    return sorted(kept, key=lambda path: (path.relative_to(rounds).parts[0], path.stat().st_mtime))


def unreadable_scores(project: ProjectFolder) -> ProjectError | None:
    """The error for a missing reader of the project's scores, with the install command.

    None with the reader, or without scores.
    """
    return left_out("pyarrow") if tables_of_scores(project) else None


def newest_scores(project: ProjectFolder) -> Path | None:
    """The newest table of scores; None if there is none."""
    from labelgrid.score.table import FILE  # slow to load

    tables = sorted(project.folder.glob(f"rounds/*/{SCORES}/{FILE}"))
    return tables[-1] if tables else None
