"""Draws the README's picture: a real campaign's grid of images and tasks, and where each label comes from.

`python -m tools.readme_picture ROOMS` reads rooms rendered by
`labelgrid scenes ROOMS --count 14 --size 144x192 --samples 64 --seed 3`, runs two queries, and writes
docs/images/grid.png.
"""

import json
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from labelgrid import Project, ProjectCell
from labelgrid.drawings.label_sheet import Size
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import State
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDef
from tools.source import ROOT

PICTURE = ROOT / "docs/images/grid.png"
#: Tasks, by the words of the picture.
TASKS = {"semseg": "segmentation", "depth": "depth", "normals": "normals", "edges": "edges"}
#: What `labelgrid relate` measures on rooms; see the recipe `demo`.
RELATIONS = {
    "depth_normals": {
        "trust": 0.96,
        "coverage": 0.85,
        "options": {"radius": 1, "residual": 15.0},
    },
    "semseg_edges": {"trust": 0.97},
}
#: Pixels: a cell, the space between cells, the names of tasks at the left, and other lines.
CELL = Size(132, 176)
GAP = 12
LEFT = 210
LINE = 48
WHITE = "#ffffff"
INK = "#24292f"
GREY = "#6e7781"
EMPTY = "#f1f3f5"
#: The colours of what a cell is, with the words of the legend.
BOUGHT = ("#0072b2", "bought")
FOLLOWS = ("#009e73", "derived from bought labels")
NEXT = ("#d55e00", "buy next")


def campaign(rooms: Path, folder: Path) -> Project:
    """Buy labels in one round, and request the next ones."""
    classes = tomllib.loads((rooms / "tasks.toml").read_text())["semseg"]["classes"]
    (folder / "classes.txt").write_text("\n".join(classes))
    tasks = [f"semseg:{folder / 'classes.txt'}", "depth", "normals", "edges"]
    changes = {"relations": RELATIONS}
    project = Project.create(
        folder / "flat",
        images=rooms / "images",
        tasks=tasks,
        recipe="demo",
        changes=changes,
        seed=3,
    )
    shutil.copy(rooms / "camera.toml", project.folder)
    project.query(6)
    project.export(folder / "request")
    for row in json.loads((folder / "request/manifest.json").read_text()):
        label = folder / "request" / row["path"]
        label.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(rooms / "labels" / row["task"] / row["image"], label)
    project.import_labels(folder / "request")
    project.query(4)
    return project


def draw(project: Project) -> Image.Image:
    """The grid: an image a column, a task a row, and the legend below."""
    images: dict[str, list[str]] = {"labelled": [], "requested": [], "missing": []}
    for cell in project.cells(task="semseg"):
        images[cell["state"]].append(cell["image"])
    shown = [*images["labelled"], *images["requested"], *images["missing"][:1]]
    width = LEFT + len(shown) * (CELL.width + GAP)
    page = Image.new("RGB", (width, (1 + len(TASKS)) * (CELL.height + GAP) + LINE), WHITE)
    pen = ImageDraw.Draw(page)
    for row, name in enumerate(("images", *TASKS.values())):
        middle = row * (CELL.height + GAP) + CELL.height // 2
        pen.text((0, middle), name, INK, _font(), anchor="lm")
    for column, image_id in enumerate(shown):
        left = LEFT + column * (CELL.width + GAP)
        page.paste(
            Image.fromarray(project.image(image_id)).resize((CELL.width, CELL.height)), (left, 0)
        )
        for row, task in enumerate(TASKS, start=1):
            picture = _cell(project.tasks[task], project.cell((image_id, task)))
            page.paste(picture, (left, row * (CELL.height + GAP)))
    _draw_legend(pen, page.height - LINE // 2)
    return page


def _cell(task: TaskDef, cell: ProjectCell) -> Image.Image:
    derived = [other for other in cell.other_labels() if other.key.startswith("derived")]
    if cell.state is State.LABELLED:
        return _framed(_picture(task, cell.label()), BOUGHT[0])
    if derived:
        return _framed(_picture(task, derived[0].read()), FOLLOWS[0])
    if cell.state is State.REQUESTED:
        wanted = Image.new("RGB", (CELL.width, CELL.height), WHITE)
        middle = (CELL.width / 2, CELL.height / 2)
        ImageDraw.Draw(wanted).text(middle, "?", NEXT[0], _font(64), anchor="mm")
        return _framed(wanted, NEXT[0])
    return Image.new("RGB", (CELL.width, CELL.height), EMPTY)


def _framed(picture: Image.Image, colour: str) -> Image.Image:
    box = (0, 0, picture.width - 1, picture.height - 1)
    ImageDraw.Draw(picture).rectangle(box, outline=colour, width=6)
    return picture


def _picture(task: TaskDef, label: LabelArray) -> Image.Image:
    return Image.fromarray(thumbnail(task, label, CELL, lines=task.kind == "edges"))


def _draw_legend(pen: ImageDraw.ImageDraw, middle: int) -> None:
    left = LEFT
    for colour, words in (BOUGHT, FOLLOWS, NEXT, (GREY, "not bought")):
        fill = EMPTY if colour == GREY else WHITE
        pen.rectangle((left, middle - 12, left + 32, middle + 12), fill, outline=colour, width=5)
        pen.text((left + 44, middle), words, INK, _font(), anchor="lm")
        left += 44 + round(_font().getlength(words)) + 40


def _font(size: int = 30) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def main(rooms: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder, campaign(rooms, Path(folder)) as project:
        draw(project).quantize(256).save(PICTURE, optimize=True)
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
