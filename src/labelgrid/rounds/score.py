"""Scores the pool with the newest model: a trained network, or the predictions of one outside."""

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.own_model.outside_score import OutsideScorer
from labelgrid.rounds.pool_scorer import PoolScorer, empty_table
from labelgrid.rounds.round_scores import RoundScores, scoring_model, strategy_of
from labelgrid.score.table import Table


def scorer_of(scores: RoundScores, progress: Progress) -> PoolScorer:
    """The scorer with the model, a trained network or the predictions of one outside."""
    if not scores.fit.predictions:
        return PoolScorer(scores, progress)
    return OutsideScorer(scores, progress)


def score(
    project: ProjectFolder,
    progress: Progress,
    strategy: str = "",
    workplace: Workplace = IN_THIS_PROCESS,
) -> Table:
    """Compute the statistics that the strategy needs for the pool, with the newest model.

    A killed run resumes where it stopped. The table is stamped with model, recipe and pool.

    Args:
        project: the project.
        progress: receives the progress.
        strategy: replaces the strategy of the settings.
        workplace: where the pool is scored, and in which shards.

    Raises:
        ProjectError: there is no model yet, or it was trained without a term that is needed.
    """
    name, chosen = strategy_of(project, strategy)
    fit = scoring_model(project, chosen)
    if fit is None:
        raise ProjectError(
            "There is no model to score with yet.",
            where=project.folder,
            next_step="Run `labelgrid fit` first; without any label, `labelgrid query` picks at "
            "random.",
            unchanged="Nothing was scored.",
        )
    if not chosen.needs:
        progress.say(f"Strategy '{name}' needs no scores: nothing was done.")
        return empty_table(project)
    scorer = scorer_of(RoundScores(project, fit, chosen), progress)
    return scorer.scored(project.round_number, project.store.grid(), workplace)
