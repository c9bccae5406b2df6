"""Draws a picture of an import: some photographs, their new labels, and a legend."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    RGB,
    UNREAD,
    Layout,
    SheetRow,
    SheetTask,
    Size,
    fitted_label,
    fitted_photograph,
    label_sheet,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_numbers import ImportNumbers, drawn_images
from labelgrid.imports.imported import Numbers
from labelgrid.imports.validate_labels import AcceptedLabel, as_file
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import TaskDef, TaskDefs


def draw_import(
    store: Store,
    tasks: TaskDefs,
    labels: Sequence[AcceptedLabel],
    *,
    gathered: ImportNumbers,
    numbers: Mapping[str, Numbers],
) -> bytes:
    """A PNG of some photographs with the new labels of all tasks.

    Photographs and labels that cannot be read are noted in their places. What was `gathered` of all
    new labels gives the ends of scales, `numbers` their texts.
    """
    overviews = gathered.overviews
    by_image: dict[str, dict[str, AcceptedLabel]] = {}
    for label in labels:
        cell = label.row.cell
        by_image.setdefault(cell.image_id, {})[cell.task] = label
    chosen = sorted(drawn_images(by_image))
    images = {row.image_id: row for row in store.images(names=chosen)}
    shown = {name: gathered.overview(name) for name in tasks if name in overviews}
    layout = Layout(len(shown), len(chosen))
    rows = []
    for image_id in chosen:
        pictures = []
        for name, of_shown in shown.items():
            new = by_image[image_id].get(name)
            picture: RGB | str = "no new label"
            if new:
                array = gathered.kept.get(new.row.cell) or _read(new, tasks[name])
                picture = UNREAD
                if array:
                    of_shown.add(image_id, array)
                    size = Size(*new.size)
                    picture = fitted_label(tasks[name], array, layout, overviews[name], size=size)
            pictures.append(picture)
        rows.append(SheetRow(image_id, fitted_photograph(images[image_id], layout), pictures))
    heads = []
    for name, of_shown in shown.items():
        text = numbers[name].text if name in numbers else ""
        heads.append(SheetTask(name, text, of_shown.legend(overviews[name].limits())))
    title = f"New labels of {count_text(len(by_image), 'image')}"
    if len(chosen) < len(by_image):
        title += f"; {len(chosen)} of them, drawn at random"
    stripes = any(overview.valid < overview.pixels for overview in shown.values())
    return label_sheet(title, rows, heads, layout, stripes=stripes)


def _read(label: AcceptedLabel, task: TaskDef) -> LabelArray | None:
    with suppress(LabelgridError, OSError), as_file(label.answer, task, label.size) as path:
        return task.read(path) if path else None
    return None
