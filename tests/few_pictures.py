"""Pages whose drawings are all drawn, and few of them laid out and written: that takes most of the time."""

import pytest
from matplotlib.figure import Figure

from labelgrid.drawings.drawing import Drawing, drawing_bytes
from labelgrid.report import html_page as page


class Pictures:
    """Draws every drawing, and makes files of the first of each type."""

    def __init__(self) -> None:
        self.types: set[type[Drawing]] = set()

    def draw(self, drawing: Drawing, kind: str) -> bytes:
        """As `drawing_bytes`; no bytes for a type that it has made a file of."""
        assert kind == "svg"
        if type(drawing) in self.types:
            drawing.draw(Figure(figsize=drawing.size))
            return b""
        self.types.add(type(drawing))
        return drawing_bytes(drawing, "svg")


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> Pictures:
    """What draws the drawings of a page instead."""
    pictures = Pictures()
    monkeypatch.setattr(page, "drawing_bytes", pictures.draw)
    return pictures
