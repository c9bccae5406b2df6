"""What a page is made of: sections of text, tables, figures with their numbers, and cards of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from labelgrid.report.content import Hint, ShownPick
from labelgrid.report.drawing import Drawing

#: What stands in a table; numbers are written for people, None as a dash.
Value = str | float | int | None


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    block: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, and the command it speaks of."""

    block: ClassVar[str] = "text"
    text: str
    kind: Literal["plain", "small", "hint", "caution", "verdict"] = "plain"
    command: str = ""


@dataclass(frozen=True)
class Said:
    """Findings, a line each: what was found, and what it rests on."""

    block: ClassVar[str] = "said"
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A column of a table; the first names the rows.

    Args:
        numeric: it stands to the right.
        colour: of a key before its name.
    """

    name: str
    numeric: bool = False
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `foot` is its last row."""

    block: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    foot: Sequence[Value] = ()


@dataclass(frozen=True)
class Figure:
    """Drawings side by side, and the numbers they show as a table.

    Args:
        drawings: none where there is too little to draw; the table is open then.
        wide: they are as wide as the page's text.
    """

    block: ClassVar[str] = "figure"
    drawings: Sequence[Drawing]
    numbers: Table
    wide: bool = False
    open: bool = False


@dataclass(frozen=True)
class Cards:
    """Cells with their pictures."""

    block: ClassVar[str] = "cards"
    cells: Sequence[ShownPick]


@dataclass(frozen=True)
class Facts:
    """Settings and versions, a line each."""

    block: ClassVar[str] = "facts"
    lines: Mapping[str, str]


Block = Heading | Text | Said | Table | Figure | Cards | Facts


@dataclass(frozen=True)
class Section:
    """A part of a page that its head leads to."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        name: of what it reports; made: when, as text.
        lead: what is said first.
    """

    name: str
    made: str
    lead: Sequence[Block] = ()
    sections: Sequence[Section] = field(default=())

    def drawings(self) -> list[Drawing]:
        """All drawings, in order."""
        blocks = [*self.lead, *(block for section in self.sections for block in section.blocks)]
        return [drawing for block in blocks if isinstance(block, Figure) for drawing in block.drawings]


def numeric(*names: str) -> list[Column]:
    """Columns of numbers."""
    return [Column(name, numeric=True) for name in names]


def hinted(hint: Hint | None) -> list[Block]:
    """What a section lacks, as a paragraph; nothing where it lacks nothing."""
    return [Text(hint.text, "hint", hint.command)] if hint else []
