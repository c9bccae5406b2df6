"""Collects the images of a page of the grid, with the states of their cells."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from labelgrid.api.reader import ProjectReader
from labelgrid.audit.audit import TABLE
from labelgrid.audit.suspects import current_cells, suspect_paths
from labelgrid.basics.errors import UsageError
from labelgrid.ledger.grid import STATE_NAMES, Cell, State
from labelgrid.ledger.image_pages import ImageFilter, ImagePage, ListedImage
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.image_order import LOSS, SHARE, image_orders, image_page
from labelgrid.project.label_filter import LabelFilter
from labelgrid.project.other_labels import PRELABEL
from labelgrid.project.requests import predicted_requests
from labelgrid.project.score_files import unreadable_scores
from labelgrid.web.layers import LABEL
from labelgrid.web.pages import page_count
from labelgrid.web.predictions import Predictions
from labelgrid.web.scale_legend import ScaleLegend, shared_legends

#: The images of a page.
COUNT = 48
MOST_PAGES = 1_000_000
SPLITS = {"": None, "train": ("train",), "heldout": ("heldout",)}


class GridQuery(BaseModel):
    """A search in the grid: the query string of the page's address."""

    model_config = ConfigDict(frozen=True)

    task: str = Field("", description="Of the cells; empty: any.")
    state: str = Field("", description="missing, requested, labelled or skipped; empty: any.")
    split: str = Field("", description="train or heldout; empty: all images.")
    round: str = Field(
        "", max_length=9, description="The round that requested the cells; empty: any."
    )
    by: str = Field("", description="Who or what made the cells' labels; empty: any.")
    shows: str = Field("", description="A class that the labels show, as TASK:CLASS; empty: any.")
    suspect: bool = Field(False, description="Only labels that an audit doubts.")
    name: str = Field("", description="A part of the images' ids.")
    order: str = Field(
        "",
        description="changed, loss/TASK, share/TASK:CLASS, or a scored statistic; empty: by id.",
    )
    over: str = Field(
        "", description="What is shown over the images: label/TASK or prediction/TASK."
    )
    page: int = Field(1, ge=1, le=MOST_PAGES, description="The number of the page.")

    def address(self, **changes: object) -> str:
        """The query of an address, with some values changed."""
        return urlencode(self.values(**changes))

    def values(self, **changes: object) -> dict[str, str]:
        """The values that differ from the defaults, as texts, with some values changed."""
        values = {}
        for name, field in GridQuery.model_fields.items():
            value = changes.get(name, getattr(self, name))
            if value != field.default:
                values[name] = str(value).lower() if value is True else str(value)
        return values

    def tasks(self) -> list[str]:
        """The tasks named in the query: by cells, a class, or an order."""
        kind, _, ordered = self.order.partition("/")
        by = ordered.partition(":")[0] if f"{kind}/" in (LOSS, SHARE) else ""
        named = (self.task, self.over.partition("/")[2], self.shows.partition(":")[0], by)
        return [task for task in named if task]

    def filter(self) -> ImageFilter:
        """The images of the query.

        Raises:
            UsageError: there is no such state or split, or the round is no number.
        """
        if self.state and self.state not in STATE_NAMES:
            raise _unknown("state", self.state, list(STATE_NAMES))
        if self.split not in SPLITS:
            raise _unknown("split", self.split, list(SPLITS)[1:])
        if self.round and not self.round.isdecimal():
            raise UsageError(f"A round is a number. Found '{self.round:.40}'.")
        return ImageFilter(
            splits=SPLITS[self.split],  # type: ignore[arg-type]
            task=self.task,
            state=STATE_NAMES.get(self.state),
            round=int(self.round) if self.round else None,
            annotator=self.by,
            name=self.name,
        )

    def labels(self, project: ProjectReader) -> LabelFilter:
        """The labels of the query.

        Raises:
            ProjectError: the table of the audit is damaged.
        """
        among = suspect_paths(project.disk) if self.suspect else None
        return LabelFilter(shows=self.shows, among=among)


@dataclass(frozen=True, kw_only=True)
class GridPage:
    """A page of the grid.

    Args:
        query: what it shows.
        tasks: the names of all tasks.
        rounds: the numbers of all rounds.
        annotators: who or what made labels.
        classes: the names of the classes of each task that has some.
        is_audited: whether an audit has looked for suspects.
        orders: the orders in which images can be listed.
        unread_scores: why images cannot be listed by their scores although they have some.
        matches: its images, and the number of all that match.
        pages: the number of pages.
        suspects: the tasks of the suspects of each image, where suspects alone are shown.
        legends: what the colours over the photographs mean.
        seen: the number of the newest event: who changes cells says what he saw.
    """

    query: GridQuery
    tasks: list[str]
    rounds: list[int]
    annotators: list[str]
    classes: dict[str, Sequence[str]]
    is_audited: bool
    orders: list[str]
    unread_scores: str
    matches: ImagePage
    pages: int
    suspects: Mapping[str, Sequence[str]]
    legends: Mapping[str, ScaleLegend]
    seen: int

    @property
    def shape(self) -> str:
        """The shape of the tiles, as of most of the images: "wide", "square" or "upright"."""
        return shape_of([image.size for image in self.matches.images])

    def shown(self, image: ListedImage) -> str:
        """The task that the page of an image shows first; "": any."""
        return shown_task(self.query, image, self.suspects.get(image.image_id, []))


def shape_of(sizes: Iterable[tuple[int, int]]) -> str:
    """The shape of most images by their heights and widths; unknown sizes are 0.

    Example:
        >>> shape_of([(480, 640), (640, 480), (640, 480)]), shape_of([(0, 0)])
        ('upright', 'wide')
    """
    ratio = median([width / height for height, width in sizes if height and width] or [1.5])
    if ratio > 1.2:
        return "wide"
    return "square" if ratio > 0.87 else "upright"


def shown_task(query: GridQuery, image: ListedImage, suspects: Sequence[str]) -> str:
    """The task that the page of a found image shows first; "": any.

    Args:
        query: the query of the grid that led to the image.
        image: the image.
        suspects: the tasks of its suspects.
    """
    state = STATE_NAMES.get(query.state)
    in_state = []
    for task, cell_state in image.states.items():
        if cell_state == state:
            in_state.append(task)
    wanted = [*suspects, *query.tasks(), *in_state]
    return next((task for task in wanted if task in image.states), "")


def grid_page(project: ProjectReader, query: GridQuery) -> GridPage:
    """A page of the grid; a number beyond the last page is the last one."""
    wanted = query.filter()
    first = (query.page - 1) * COUNT
    seen = project.disk.store.last_event()
    labels = query.labels(project)
    matches = image_page(
        project.disk, wanted, order=query.order, labels=labels, first=first, count=COUNT
    )
    pages = page_count(matches.total, COUNT)
    if query.page > pages:
        return grid_page(project, query.model_copy(update={"page": pages}))
    shown = {image.image_id for image in matches.images}
    here = {cell: path for cell, path in (labels.among or {}).items() if cell.image_id in shown}
    suspects = defaultdict[str, list[str]](list)
    for cell in current_cells(project.disk, here):
        suspects[cell.image_id].append(cell.task)
    tasks = project.tasks
    over = query.over.partition("/")[2]
    return GridPage(
        query=query,
        tasks=list(tasks),
        rounds=[row.number for row in project.disk.store.rounds()],
        annotators=project.disk.store.annotators(),
        classes={name: task.class_names for name, task in tasks.items() if task.class_names},
        is_audited=(project.folder / TABLE).is_file(),
        orders=image_orders(project.disk),
        unread_scores=str(unreadable_scores(project.disk) or ""),
        matches=matches,
        pages=pages,
        suspects=suspects,
        legends=shared_legends(tasks, [over]),
        seen=seen,
    )


def overlays(
    project: ProjectReader, page: GridPage, predictions: Predictions
) -> dict[str, tuple[str, str]]:
    """The task and layer that are shown over each image of a page, by image id.

    A prediction is not shown of a label that measures something, before it is there.

    Raises:
        UsageError: there is no such overlay.
    """
    kind, _, task = page.query.over.partition("/")
    if not kind:
        return {}
    if kind not in OVERLAYS or task not in page.tasks:
        names = [f"{kind}/{task}" for kind in OVERLAYS for task in page.tasks]
        raise _unknown("overlay", page.query.over, names)
    states = {Cell(image.image_id, task): image.states[task] for image in page.matches.images}
    layers = OVERLAYS[kind](project, states, predictions)
    return {cell.image_id: (task, layer) for cell, layer in layers.items()}


def _labels_over(
    project: ProjectReader, states: Mapping[Cell, State], predictions: Predictions
) -> dict[Cell, str]:
    del project, predictions
    return {cell: LABEL for cell, state in states.items() if state == State.LABELLED}


def _predictions_over(
    project: ProjectReader, states: Mapping[Cell, State], predictions: Predictions
) -> dict[Cell, str]:
    layers = dict.fromkeys(predicted_requests(project.disk, list(states)), PRELABEL)
    for cell in states:
        newest = predictions.of(project, cell)
        if newest:
            layers[cell] = newest.key
    measuring = MeasuringCells(project.disk)
    drawn = [cell for cell in layers if states[cell] != State.LABELLED]
    for cell in filter(measuring.purpose, drawn):
        del layers[cell]
    return layers


#: What can be shown over images: kind -> the layers of those cells that have one.
OVERLAYS = {"label": _labels_over, "prediction": _predictions_over}


def _unknown(kind: str, value: str, names: list[str]) -> UsageError:
    return UsageError(
        f"There is no {kind} '{value:.40}'.", next_step=f"There are: {', '.join(names)}."
    )
