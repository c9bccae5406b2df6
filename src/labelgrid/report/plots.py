"""How a page's drawings become files of their own, for papers and slides."""

import re
from collections.abc import Iterator

from labelgrid.report.blocks import Page
from labelgrid.report.drawing import file_of


def files(page: Page) -> Iterator[tuple[str, bytes]]:
    """Each drawing as an SVG and as a PNG of 200 dots an inch, by file name."""
    taken: set[str] = set()
    for drawing in page.drawings():
        name = re.sub(r"[^\w.-]+", "-", drawing.name).strip("-.")
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        yield f"{name}.svg", file_of(drawing, "svg", title=True)
        yield f"{name}.png", file_of(drawing, "png", title=True)
