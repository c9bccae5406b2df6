"""Collects the picks of a round, with reasons and answers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, Field

from labelgrid.advice.control_record import ComparisonRecord, read_comparison
from labelgrid.api.reader import ProjectReader
from labelgrid.basics.type_names import Values
from labelgrid.ledger.grid import Pick
from labelgrid.operations.status import round_rows
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.other_labels import PRELABEL
from labelgrid.project.requests import predicted_requests
from labelgrid.web.grid_page import MOST_PAGES
from labelgrid.web.layers import LABEL
from labelgrid.web.pages import page_count
from labelgrid.web.scale_legend import ScaleLegend, shared_legends

#: The photographs of a page.
COUNT = 24
#: What became of a pick, by the state of its cell: in the order in which they are counted.
ANSWERS = {"labelled": "labelled", "skipped": "skipped", "requested": "open", "": "cancelled"}


class RoundQuery(BaseModel):
    """A round's page."""

    number: int = Field(ge=1, le=9999, description="Of the round.")
    page: int = Field(1, ge=1, le=MOST_PAGES, description="The number of the page of picks.")


@dataclass(frozen=True, kw_only=True)
class PickLine:
    """A pick.

    Args:
        pick: the pick.
        answer: one of `ANSWERS`.
        layers: the keys of its pictures: its label, and the prediction of its request.
    """

    pick: Pick
    answer: str
    layers: Sequence[str] = ()


@dataclass(frozen=True)
class PhotographLine:
    """A photograph and its picks, in the order of the tasks."""

    image_id: str
    picks: Sequence[PickLine]


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """The page of a round.

    Args:
        values: the values of the round, as `status` tells them.
        photographs: those of the page, the one of the best pick first.
        legends: what the colours of the shown tasks mean.
        counts: the number of all picks by their answers.
        page: the number of the page.
        pages: the number of pages.
        before: the number of the round before; None without one.
        after: the number of the round after.
        control: whether picks paid beside random ones, as measured last; None if it was not.
    """

    values: Values
    photographs: Sequence[PhotographLine]
    legends: Mapping[str, ScaleLegend]
    counts: Mapping[str, int]
    page: int
    pages: int
    before: int | None
    after: int | None
    control: ComparisonRecord | None

    @property
    def total(self) -> int:
        """The number of all picks."""
        return sum(self.counts.values())


def round_view(project: ProjectReader, query: RoundQuery) -> RoundView:
    """The page of a round; a number beyond the last page is the last one.

    Raises:
        LedgerError: there is no such round.
        ProjectError: a file of the round is damaged.
    """
    rows = project.disk.store.cells(round=query.number)
    states = {row.cell: row.state.name.lower() for row in rows}
    picks = []
    for pick in project.picks(query.number):
        line = PickLine(pick=pick, answer=ANSWERS[states.get(pick.cell, "")])
        picks.append(line)
    counts = Counter(shown.answer for shown in picks)
    by_image = defaultdict[str, list[PickLine]](list)
    for shown in picks:
        by_image[shown.pick.cell.image_id].append(shown)
    pages = page_count(len(by_image), COUNT)
    page = min(query.page, pages)
    rounds = {row["round"]: row for row in round_rows(project.disk)}
    photographs = _photographs(project, list(by_image.items())[(page - 1) * COUNT :][:COUNT])
    drawn = [pick for photograph in photographs for pick in photograph.picks if pick.layers]
    tasks = {shown.pick.cell.task for shown in drawn}
    return RoundView(
        values=rounds[query.number],
        photographs=photographs,
        legends=shared_legends(project.tasks, tasks),
        counts={answer: counts[answer] for answer in ANSWERS.values()},
        page=page,
        pages=pages,
        before=max((number for number in rounds if number < query.number), default=None),
        after=min((number for number in rounds if number > query.number), default=None),
        control=read_comparison(project.folder),
    )


def _photographs(
    project: ProjectReader, images: Sequence[tuple[str, Sequence[PickLine]]]
) -> list[PhotographLine]:
    """The photographs of a page, with the keys of the pictures of their picks."""
    cells = [shown.pick.cell for _, picks in images for shown in picks]
    predicted = predicted_requests(project.disk, cells)
    measuring = MeasuringCells(project.disk)
    for _, picks in images:
        drawn = {shown.pick.cell for shown in picks if shown.answer != "labelled"}
        predicted -= {cell for cell in drawn & predicted if measuring.purpose(cell)}
    positions = {name: position for position, name in enumerate(project.tasks)}
    lines = []
    for image_id, picks in images:
        shown = []
        for pick in picks:
            layers = [LABEL] if pick.answer == "labelled" else []
            if pick.pick.cell in predicted:
                layers.append(PRELABEL)
            shown.append(replace(pick, layers=layers))
        shown.sort(key=lambda line: positions.get(line.pick.cell.task, len(positions)))
        lines.append(PhotographLine(image_id, shown))
    return lines
