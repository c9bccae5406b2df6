"""Remembers the previews that a query has to write after its request, so that a later query completes them.

Torch is loaded only to write previews.
"""

from typing import TYPE_CHECKING

from labelgrid.errors import LabelgridError, ModelError, with_unchanged
from labelgrid.files import disk, read_text, remove_folder, write_text
from labelgrid.progress import Progress
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.round_scores import RoundScores, strategy_of

if TYPE_CHECKING:
    from labelgrid.rounds.score import PoolScorer

#: The file of a round that lists the previews which are not written yet; and their names, which are those of folders.
PENDING = "previews-pending.txt"
PRELABELS, PICTURES = "prelabels", "pictures"


def announce(project: ProjectFolder, number: int, *, prelabels: bool, pictures: bool) -> None:
    """Note the previews that follow a round's request, and remove those of picks that were not requested.

    Call it before the request: a query that is killed in between is an open round, and chooses again.
    """
    folder, asked = project.round_folder(number), {PRELABELS: prelabels, PICTURES: pictures}
    for name in asked:
        remove_folder(folder / name)
    with disk(folder, "Nothing was requested."):
        (folder / PENDING).unlink(missing_ok=True)
        if prelabels or pictures:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / PENDING, "".join(f"{name}\n" for name, wanted in asked.items() if wanted))


def complete(project: ProjectFolder, progress: Progress) -> None:
    """Write the previews that earlier queries were stopped before, each with the model and the labels of its round."""
    for row in project.store.rounds():
        names = _pending(project, row.number) if row.state == "closed" else ()
        fit = newest_fit(project.folder, before=row.number + 1) if names else None
        if fit is None:
            continue
        from labelgrid.rounds.score import PoolScorer

        progress.say(f"Writing the previews of round {row.number}, before which its query was stopped.")
        scorer = PoolScorer(RoundScores(project, fit, strategy_of(project)[1]), progress)
        try:
            write(scorer, row.number, prelabels=PRELABELS in names, pictures=PICTURES in names)
        except LabelgridError as error:  # this query does not need them
            progress.say(f"They are not written: {error.what} The next query tries again.")


def write(scorer: "PoolScorer", number: int, *, prelabels: bool, pictures: bool) -> None:
    """Write the previews of a closed round that are missing; if its model cannot be used any more, say so instead."""
    from labelgrid.rounds.previews import write_previews

    folder = scorer.project.round_folder(number)
    requested = "The cells are requested; the next query writes the previews that are missing."
    with with_unchanged(requested), disk(folder):
        try:
            write_previews(scorer, number, prelabels=prelabels, pictures=pictures)
        except ModelError as error:
            scorer.progress.say(f"No previews are written: {error.what}")
        (folder / PENDING).unlink(missing_ok=True)


def _pending(project: ProjectFolder, number: int) -> tuple[str, ...]:
    """The names of a round's previews that are not written yet."""
    try:
        words = read_text(project.round_folder(number) / PENDING).split()
    except (OSError, ValueError):  # there are none, or the file is not of this program
        return ()
    return tuple(name for name in (PRELABELS, PICTURES) if name in words)
