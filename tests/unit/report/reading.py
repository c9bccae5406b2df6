"""What tests of the report share: a page as a reader without JavaScript gets it, and a report to change."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from labelgrid.basics.results import Result
from labelgrid.project.records import Measurement
from labelgrid.report.content import ProjectReport, SplitCells, TaskCells
from labelgrid.report.html_page import render
from labelgrid.report.project_page import project_page

VOID = {"meta", "img"}
JPEG = b"\xff\xd8\xff\xe0 not a whole picture"


@dataclass
class Page(HTMLParser):
    """A parsed page: its visible text, its tags with their attributes, the texts of each table's rows."""

    html: str
    text: str = ""
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert not self.stack, f"never closed: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes {self.stack[-1:]}"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.stack:
            return
        self.text += data
        if "td" in self.stack or "th" in self.stack:
            self.tables[-1][-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        """The visible text, its white space made single blanks."""
        return " ".join(self.text.split())

    def section(self, name: str) -> "Page":
        """One section alone."""
        start = self.html.index(f'<section id="{name}">')
        return Page(self.html[start : self.html.index("</section>", start) + len("</section>")])


def counted(task: str = "depth", spent: float = 6.0) -> TaskCells:
    """A task with 10 cells: 6 labelled, 2 requested, 1 skipped, 1 missing."""
    return TaskCells(
        task=task,
        kind=task,
        cost=1.0,
        labelled=6,
        requested=2,
        skipped=1,
        missing=1,
        spent=spent,
        promised=2.0,
    )


def measured(number: int, miou: float, rmse: float, heldout: int = 4) -> Measurement:
    """A measured round: 10 labels of each task a round, at a cost of 11 together."""
    return Measurement(
        round=number,
        model=f"m{number}",
        labels={"semseg": 10 * number, "depth": 10 * number},
        spent=110.0 * number,
        heldout_labels={"semseg": heldout, "depth": heldout},
        metrics={
            "semseg": {
                "mIoU": Result("mIoU", miou, "%", "higher"),
                "pixAcc": Result("pixAcc", 71.5, "%", "higher"),
            },
            "depth": {"RMSE": Result("RMSE", rmse, "m", "lower")},
        },
        loss_mtl=rmse * 2,
    )


TWO = (measured(1, 21.25, 1.125), measured(2, 33.75, 0.875))


def a_report(**changes: object) -> ProjectReport:
    """A report of a project in which nothing was measured: pages without curves are made fast."""
    values: dict[str, object] = {
        "name": "flat",
        "made": "2026-01-02 03:04 UTC",
        "about": {"Seed": "7"},
        "headlines": {"semseg": "mIoU", "depth": "RMSE"},
        "parts": [
            SplitCells("To learn from", 10, [counted("semseg", 60.0), counted("depth", 6.0)])
        ],
        "heldout": SplitCells("Held out", 4, [counted("semseg", 43.25), counted("depth", 4.0)]),
        "measured": [],
        "rounds": [],
        "picked": None,
        "training": None,
        "next_step": "labelgrid fit flat",
        "hints": {},
    }
    return ProjectReport(**values | changes)  # type: ignore[arg-type]


def html(report: ProjectReport) -> str:
    """A project's page."""
    return render(project_page(report))
