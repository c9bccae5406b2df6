"""Draws a picture of an import: some photographs, their new labels, and a legend."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    RGB,
    UNREAD,
    Layout,
    SheetRow,
    SheetTask,
    fitted_label,
    fitted_photograph,
    label_sheet,
)
from labelgrid.imports.imported import Numbers
from labelgrid.imports.validate_labels import AcceptedLabel, as_file
from labelgrid.ledger.store import Store
from labelgrid.tasks.overview import Overview
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The most photographs of a picture.
SHOWN = 6


def draw_import(
    store: Store,
    tasks: TaskDefs,
    labels: Sequence[AcceptedLabel],
    *,
    overviews: Mapping[str, Overview],
    numbers: Mapping[str, Numbers],
) -> bytes:
    """A PNG of some photographs with the new labels of all tasks.

    Photographs and labels that cannot be read are noted in their places. `overviews` of all new
    labels give the ends of scales, `numbers` their texts.
    """
    by_image: dict[str, dict[str, AcceptedLabel]] = {}
    for label in labels:
        cell = label.row.cell
        by_image.setdefault(cell.image_id, {})[cell.task] = label
    image_ids = list(by_image)
    order = drawn_places(image_ids, seed_of(0, "import picture"))[:SHOWN]
    chosen = sorted(image_ids[place] for place in order)
    images = {row.image_id: row for row in store.images(names=chosen)}
    shown = {name: task.overview() for name, task in tasks.items() if name in overviews}
    layout = Layout(len(shown), len(chosen))
    rows = []
    for image_id in chosen:
        pictures = []
        for name, of_shown in shown.items():
            new = by_image[image_id].get(name)
            picture: RGB | str = "no new label"
            if new:
                scale = overviews[name]
                picture = _picture(new, tasks[name], layout, scale=scale, shown=of_shown)
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


def _picture(
    label: AcceptedLabel, task: TaskDef, layout: Layout, *, scale: Overview, shown: Overview
) -> RGB | str:
    """A label on the scale of all new labels; it is added to the shown labels."""
    with suppress(LabelgridError, OSError), as_file(label.answer, task, label.size) as path:
        if path:
            array = task.read(path)
            shown.add(label.row.cell.image_id, array)
            return fitted_label(task, array, layout, scale)
    return UNREAD
