"""Writes the previews that follow a request; also later, if the query was stopped before them.

Torch is loaded only to write previews.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from labelgrid.errors import LabelgridError, ModelError, note_unchanged
from labelgrid.files import disk_errors
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import PENDING, newest_fit
from labelgrid.rounds.round_scores import RoundScores, strategy_of

if TYPE_CHECKING:
    from labelgrid.rounds.score import PoolScorer


def complete(
    project: ProjectFolder, number: int, names: Collection[str], progress: Progress
) -> None:
    """Write the previews that a round's query was stopped before, with the model and the labels of that round."""
    fit = newest_fit(project.folder, before=number + 1)
    if fit is None:
        return
    from labelgrid.rounds.score import PoolScorer

    progress.say(f"Writing the previews of round {number}, before which its query was stopped.")
    scorer = PoolScorer(RoundScores(project, fit, strategy_of(project)[1]), progress)
    try:
        write(scorer, number, names)
    except LabelgridError as error:  # this query does not need them
        progress.say(f"They are not written: {error.what} The next query tries again.")


def write(scorer: "PoolScorer", number: int, names: Collection[str]) -> None:
    """Write the previews of a closed round that are missing.

    If its model cannot be used any more, say so instead.
    """
    from labelgrid.rounds.previews import write_previews

    folder = scorer.project.round_folder(number)
    requested = "The cells are requested; the next query writes the previews that are missing."
    with note_unchanged(requested), disk_errors(folder):
        try:
            write_previews(
                scorer, number, prelabels="prelabels" in names, pictures="pictures" in names
            )
        except ModelError as error:
            scorer.progress.say(f"No previews are written: {error.what}")
        (folder / PENDING).unlink(missing_ok=True)
