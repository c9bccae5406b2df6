"""How pictures of picks are drawn that were not kept: by the network that chose, with the labels there were then."""

from dataclasses import replace
from pathlib import Path

from labelgrid.campaign.fitting import latest, restore
from labelgrid.campaign.prelabels import draw
from labelgrid.campaign.project import Project
from labelgrid.campaign.records import read_picks
from labelgrid.labels.grid import Cell, Pick, State


def redraw(folder: Path, number: int) -> None:
    """Draw the pictures of a project's closed round, as they would have been drawn then; nothing where they are there.

    Raises:
        ModelError: the network that chose is gone.
    """
    with Project.open(folder) as project:
        place, done = project.round_folder(number), latest(project, before=number + 1)
        records = read_picks(place) if number else []
        if done is None or not records or (place / "pictures").is_dir():
            return
        crew, network = restore(project, done)
        asked = {row.cell: row.round for row in project.store.cells(state=State.LABELLED)}
        known = {cell: kept for cell, kept in crew.source.labels.items() if asked[cell] < number}
        before = replace(crew, source=replace(crew.source, labels=known))
        picks = [Pick(Cell(record.image, record.task), record.score or 0.0) for record in records]
        draw(project, before, network, picks, number)
