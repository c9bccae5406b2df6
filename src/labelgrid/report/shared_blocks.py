"""Builds the blocks that project and study pages share.

These are the grid's picture, uncertainty charts, and picked cells.
"""

from labelgrid.drawings.charts import Chart, Line
from labelgrid.drawings.gridmap import GridMap
from labelgrid.drawings.request_history import RequestHistory
from labelgrid.drawings.wording import number
from labelgrid.ledger.grid import Explanation
from labelgrid.report.content import PoolUncertainty, RoundPicks
from labelgrid.report.page_blocks import (
    Blocks,
    Cards,
    Column,
    DataTable,
    Figure,
    Help,
    Text,
    Value,
    number_columns,
)


def grid_map(requests: RequestHistory, name: str, title: str = "") -> Figure:
    """A picture of the grid, with its counts."""
    drawing = GridMap(name, requests, title)
    counts = requests.counts()
    colours = drawing.colours()
    kinds = [Column(kind, numeric=True, colour=colours[kind]) for kind in requests.kinds]
    rows: list[list[Value]] = []
    for task, by_kind in counts.items():
        rows.append([task, *(by_kind[kind] for kind in requests.kinds)])
    return Figure(drawings=[drawing], numbers=DataTable([Column("task"), *kinds], rows), wide=True)


def uncertainty_charts(uncertainty: PoolUncertainty, name: str, title: str = "") -> Blocks:
    """Charts of the pool's mean normalised uncertainty over the rounds, one chart per statistic."""
    blocks: Blocks = []
    for statistic, tasks in uncertainty.items():
        lines = []
        for task, values in tasks.items():
            lines.append(Line(name=task, x=list(values), y=list(values.values())))
        chart = Chart(
            name=f"{name}-{statistic}",
            x_label="round",
            y_label=f"mean normalised {statistic}",
            lines=lines,
            whole=True,
            title=title,
        )
        rows: list[list[Value]] = []
        for round_number in sorted(set().union(*tasks.values())):
            means = [values.get(round_number) for values in tasks.values()]
            rows.append([round_number, *means])
        table = DataTable(number_columns("round", *tasks), rows)
        blocks.append(Figure(drawings=[chart], numbers=table))
    return blocks


#: Explains the weighted sum of losses where it is first used.
LOSS_HELP = Help(
    "What is loss_mtl?",
    "The weighted sum of the losses of all tasks, with the weights of the recipe: one number for "
    "all tasks. Lower is better. It compares networks of the same tasks and weights only.",
)
#: Explains the charts of `uncertainty_charts`.
UNCERTAINTY_HELP = Help(
    "How is the uncertainty of the pool computed?",
    "This is the mean of (u − min) / (max − min) over the cells without a label. A task's min and "
    "max come from its first scored round (PartAL, equations 1 and 8). The mean should fall as "
    "labels come in.",
)
#: Explains the grey lines of `picked_cells`.
PICKS_HELP = Help(
    "What do the grey lines say?",
    "The grey lines explain the picks. The candidates of a term are the cells of this task, or the "
    "images, that could have been picked. The first rank is by the whole score, the others by what "
    "is left of it without a part. The nearest labelled image is the one with the most similar "
    "features that has a label of this task.",
)


def picked_cells(picked: RoundPicks) -> Blocks:
    """A round's first picks with their pictures."""
    text = (
        f"The first {len(picked.first)} of the {number(picked.total)} picks of round {picked.round}"
    )
    if any(shown.pick.score is not None for shown in picked.first):
        text += ", best first. A higher score means: label this first"
    blocks: Blocks = [Text(f"{text}.")]
    kinds: set[str] = set()
    for shown in picked.first:
        kinds |= shown.pictures.keys()
    if kinds:
        label = " The label is the one that came in after the pick." if "label" in kinds else ""
        blocks.append(
            Help(
                "What do the pictures show?",
                "The prediction comes from the network that scored the pool. Uncertainty runs from "
                "dark (certain) to bright (uncertain), distance from bright (near) to dark (far). "
                f"Each picture has its own scale. Hatched pixels have no value.{label}",
            )
        )
    if any(shown.pick.explanation != Explanation() for shown in picked.first):
        blocks.append(PICKS_HELP)
    return [*blocks, Cards(picked.first)]
