"""Finds the statistics that a search needs among the fresh scores of a round. Loads no torch."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError
from labelgrid.project.score_files import scores_folder
from labelgrid.rounds.round_scores import FEATURES, RoundScores, strategy_of
from labelgrid.score.table import FILE, Table


def kept_scores(search: RoundScores, number: int) -> Table | None:
    """The statistics that a search needs, from whatever scores of the round are fresh.

    These are the round's scores, with what explains its picks, and those of searches. None if there
    are none: they are computed then.

    Args:
        search: the scores of the search.
        number: of the round.
    """
    needs = search.strategy.needs
    for scores in _scores_of(search, number):
        with suppress(LabelgridError):  # stale, or a recipe that the strategy does not fit
            table = scores.fresh(number)
            found = scores.holding(needs, number, table) if table else None
            if found:
                return found.only(needs | {FEATURES}, found.stamp)
    return None


def _scores_of(search: RoundScores, number: int) -> Iterator[RoundScores]:
    """Yield the scores that a round may have: its own, and those of searches."""
    project = search.project
    yield replace(search, strategy=strategy_of(project)[1], apart="")
    yield replace(search, apart="")
    for path in sorted(scores_folder(project, number).glob(f"*/{FILE}")):
        name = path.parent.name
        if name in plugins.names("strategies"):
            yield replace(search, strategy=strategy_of(project, name)[1], apart=name)
