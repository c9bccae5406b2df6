"""Defines the blocks of a report page: text, tables, figures, pictures of tasks, cards of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from labelgrid.drawings.drawing import Drawing
from labelgrid.report.content import Hint, ShownPick, TaskPictures

#: A value in a table; numbers are rounded for reading, None is shown as a dash.
Value = str | float | int | None


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    block: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, and the command it recommends."""

    block: ClassVar[str] = "text"
    text: str
    kind: Literal["plain", "small", "hint", "caution", "verdict"] = "plain"
    command: str = ""


@dataclass(frozen=True)
class Help:
    """A question of readers, with an answer that opens on a click."""

    block: ClassVar[str] = "help"
    question: str
    answer: str


@dataclass(frozen=True)
class Column:
    """A column of a table; the first column names the rows.

    Args:
        name: the heading.
        numeric: whether the column is right-aligned.
        colour: the colour of the legend square before its name; "" for none.
    """

    name: str
    numeric: bool = False
    colour: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table; `foot` is its last row."""

    block: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    foot: Sequence[Value] = ()


@dataclass(frozen=True)
class Fold:
    """The rest of a long table, shown when it is opened."""

    block: ClassVar[str] = "fold"
    summary: str
    table: DataTable


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Drawings side by side, and a table that can be opened.

    Args:
        drawings: empty where there is too little to draw; the table is open then.
        numbers: the table.
        summary: the name of the table.
        wide: whether the drawings take the full width of the text.
        open: whether the table is open from the start.
    """

    block: ClassVar[str] = "figure"
    drawings: Sequence[Drawing]
    numbers: DataTable
    summary: str = "The numbers"
    wide: bool = False
    open: bool = False


@dataclass(frozen=True)
class Cards:
    """Cells with their pictures."""

    block: ClassVar[str] = "cards"
    cells: Sequence[ShownPick]


@dataclass(frozen=True)
class Gallery:
    """Pictures of tasks, each task's with a legend."""

    block: ClassVar[str] = "gallery"
    tasks: Sequence[TaskPictures]


@dataclass(frozen=True)
class Facts:
    """Settings and versions, one per line."""

    block: ClassVar[str] = "facts"
    lines: Mapping[str, str]


Block = Heading | Text | Help | DataTable | Fold | Figure | Gallery | Cards | Facts
Blocks = list[Block]


@dataclass(frozen=True)
class Section:
    """A section of a page, linked from the page's header."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        name: the name of the project or study.
        made: when the page was made, as text.
        lead: the blocks before the links to the sections: what is most important, and pictures.
        sections: the sections in reading order.
    """

    name: str
    made: str
    lead: Sequence[Block] = ()
    sections: Sequence[Section] = field(default=())

    def drawings(self) -> list[Drawing]:
        """All drawings, in order."""
        blocks = list(self.lead)
        for section in self.sections:
            blocks += section.blocks
        drawings: list[Drawing] = []
        for block in blocks:
            if isinstance(block, Figure):
                drawings += block.drawings
        return drawings


def number_columns(*names: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(name, numeric=True) for name in names]


def hint_blocks(hint: Hint | None) -> Blocks:
    """A hint as a paragraph; an empty list without a hint."""
    return [Text(hint.text, "hint", hint.command)] if hint else []
