"""What the pages of a project and of a study have in common: the grid's picture, uncertainties, cells to look at."""

from labelgrid.report.asked import RequestHistory
from labelgrid.report.blocks import Block, Cards, Column, Figure, Table, Text, Value, numeric
from labelgrid.report.charts import Chart, Line
from labelgrid.report.content import Picked, Unsure
from labelgrid.report.gridmap import GridMap
from labelgrid.report.wording import number


def grid_map(asked: RequestHistory, name: str, title: str = "") -> Figure:
    """The grid as a picture, with its counts."""
    drawing = GridMap(name, asked, title)
    counts, colours = asked.counts(), drawing.colours()
    columns = [Column("task"), *(Column(kind, True, colours[kind]) for kind in asked.kinds)]
    rows: list[list[Value]] = [[task, *(kinds[kind] for kind in asked.kinds)] for task, kinds in counts.items()]
    return Figure([drawing], Table(columns, rows), wide=True)


def unsure_charts(unsure: Unsure, name: str, title: str = "") -> list[Block]:
    """The mean normalised uncertainty of the pool over the rounds, a chart a statistic."""
    blocks: list[Block] = []
    for statistic, tasks in unsure.items():
        rounds = sorted(set().union(*tasks.values()))
        lines = [Line(task, list(values), list(values.values())) for task, values in tasks.items()]
        label = f"mean normalised {statistic}"
        chart = Chart(f"{name}-{statistic}", "round", label, lines, whole=True, title=title)
        table = Table(numeric("round", *tasks), [[r, *(values.get(r) for values in tasks.values())] for r in rounds])
        blocks.append(Figure([chart], table))
    return blocks


#: What the charts of `unsure_charts` show.
UNSURE = (
    "The mean over the cells that had no label yet of (u − min) / (max − min), where a task's min and max are those of "
    "its first scored round (PartAL, equations 1 and 8). It should fall as labels come in."
)


def picked_cells(picked: Picked) -> list[Block]:
    """A round's first picks with what there is to see of them."""
    blocks: list[Block] = [
        Text(
            f"The first {len(picked.first)} of the {number(picked.total)} picks of round {picked.round}, best first. "
            "A higher score means: label this first."
        )
    ]
    kinds = {what for pick in picked.first for what in pick.pictures}
    if kinds:
        truth = " The truth is the label that came in since." if "truth" in kinds else ""
        blocks.append(
            Text(
                "The prediction is that of the network which chose. Uncertainty runs from dark (sure) to bright "
                "(unsure), and distances from bright (near) to dark (far), on a scale of its own in each picture; "
                f"hatched pixels have no value.{truth}",
                "small",
            )
        )
    return [*blocks, Cards(picked.first)]
