"""Writes each drawing of a page as separate files, for papers and slides."""

import re
from collections.abc import Iterable, Iterator

from labelgrid.report.blocks import Page
from labelgrid.drawings.drawing import Drawing, drawing_bytes


def files(page: Page) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each drawing of a page, as `drawing_files`."""
    return drawing_files(page.drawings())


def drawing_files(drawings: Iterable[Drawing]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each drawing as SVG and as PNG (200 dpi)."""
    taken: set[str] = set()
    for drawing in drawings:
        name = re.sub(r"[^\w.-]+", "-", drawing.name).strip("-.")
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        yield f"{name}.svg", drawing_bytes(drawing, "svg", title=True)
        yield f"{name}.png", drawing_bytes(drawing, "png", title=True)
