"""Writes previews of picks: predictions as label files for annotators, pictures for the report."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from labelgrid.basics.errors import ModelError, note_unchanged
from labelgrid.basics.files import atomic_folder, disk_errors
from labelgrid.basics.progress import Silent
from labelgrid.data.frame import resize_to_original
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.ledger.grid import Cell, Pick, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import find_unusable_images
from labelgrid.project.records import PENDING, SHOWN, newest_fit, read_picks
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import check_options
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.outputs import predicted_label, skip_unwritable, write_label
from labelgrid.rounds.pool_scorer import PoolScorer
from labelgrid.rounds.round_scores import RoundScores, strategy_of
from labelgrid.rounds.score import scorer_of
from labelgrid.score.maps import MOMENTS, head_maps
from labelgrid.score.statistics.dropout import DropoutPasses, Options
from labelgrid.tasks.pictures import colour_map, heat_map, jpeg
from labelgrid.tasks.task import TaskDef


def write_previews(
    scorer: PoolScorer, number: int, *, prelabels: bool = True, pictures: bool = True
) -> None:
    """Write the missing previews of a closed round's picks, with the labels of the query.

    If it is killed, the same call starts again.

    Args:
        scorer: holds the model of that time.
        number: the number of the round.
        prelabels: write the model's prediction of each pick as a label file.
        pictures: write pictures of the first picks.

    Raises:
        ModelError: the checkpoint of the round's model is missing.
    """
    folder = scorer.project.round_folder(number)
    picks = read_picks(folder)
    prelabels = prelabels and not (folder / "prelabels").is_dir()
    pictures = pictures and not (folder / "pictures").is_dir()
    if not picks or not (prelabels or pictures):
        return
    picked = {pick.cell.image_id for pick in picks}
    unusable = find_unusable_images(scorer.project, picked, scorer.progress)
    context = _context_of_round(scorer.context, number)
    images = set(context.source.images()) - unusable
    cells = [pick.cell for pick in picks if pick.cell.image_id in images]
    cells = [cell for cell in cells if cell.task in context.definitions]
    if prelabels:
        with atomic_folder(folder / "prelabels") as building:
            _write_prelabels(scorer, context, cells=cells, folder=building)
    if pictures:
        with atomic_folder(folder / "pictures") as building:
            shown = picks[:SHOWN]
            _write_pictures(scorer, context, shown, cells=set(cells), folder=building)


def write_announced_previews(scorer: PoolScorer, number: int, names: Collection[str]) -> None:
    """Write the previews that a query announced, and remove the announcement.

    If the round's model cannot be used any more, say so instead.

    Raises:
        LabelgridError: a label is damaged, or the disk reports an error. The note stays, and the
            next query tries again.
    """
    folder = scorer.project.round_folder(number)
    requested = "The cells are requested; the next query writes the previews that are missing."
    with note_unchanged(requested), disk_errors(folder):
        try:
            write_previews(
                scorer, number, prelabels="prelabels" in names, pictures="pictures" in names
            )
        except ModelError as error:
            scorer.progress.say(f"No previews are written: {error.what}")
        (folder / PENDING).unlink(missing_ok=True)


def redraw(folder: Path, number: int) -> None:
    """Write the missing pictures of a project's closed round.

    They are made with the model and the labels of that time.

    Raises:
        ModelError: the checkpoint of the round's model is missing.
    """
    with ProjectFolder.open(folder) as project, project.store.steady():
        fit = newest_fit(project.folder, before=number + 1)
        if fit and number:
            scores = RoundScores(project, fit, strategy_of(project)[1])
            write_previews(scorer_of(scores, Silent()), number, prelabels=False)


def _context_of_round(context: RoundContext, number: int) -> RoundContext:
    """The context with the labels that a round's picks were chosen with."""
    store = context.project.store
    round_of: dict[Cell, int] = {}
    for row in store.parts(state=State.LABELLED):
        cell = Cell(row.cell.image_id, row.cell.task)
        round_of[cell] = max(row.round, round_of.get(cell, 0))
    round_of |= {row.cell: row.round for row in store.cells(state=State.LABELLED)}
    source = context.source
    labels = {cell: label for cell, label in source.labels.items() if round_of[cell] < number}
    return replace(context, source=replace(source, labels=labels))


def _write_prelabels(
    scorer: PoolScorer, context: RoundContext, cells: Sequence[Cell], folder: Path
) -> None:
    tasks_by_image = defaultdict[str, list[str]](list)
    for cell in cells:
        tasks_by_image[cell.image_id].append(cell.task)
    whole = whole_names(tasks_by_image, context.source.images())
    definitions = context.definitions
    progress = scorer.progress
    progress.start("Predicting the picks", len(tasks_by_image), "images")
    for image_id, raws, frame in scorer.outputs(context, sorted(tasks_by_image)):
        for task in filter(raws.__contains__, tasks_by_image[image_id]):
            path = label_path(folder, definitions[task], image_id, image_id in whole)
            with skip_unwritable(progress, f"No pre-label of {task} for {image_id}"):
                write_label(
                    context.tasks[task], definitions[task], raw=raws[task], frame=frame, path=path
                )


def label_path(folder: Path, task: TaskDef, image_id: str, whole: bool) -> Path:
    """The path of a cell's label file below a folder: `<task>/<image path>.<ext>`.

    Args:
        folder: the folder of the files.
        task: its format gives the extension.
        image_id: the image.
        whole: keep the image's own extension, because several images share the rest; see
            `naming.whole_names`.
    """
    return folder / task.name / label_name(image_id, task.codec.EXTENSIONS[0], whole)


def _write_pictures(
    scorer: PoolScorer,
    context: RoundContext,
    picks: Sequence[Pick],
    *,
    cells: Collection[Cell],
    folder: Path,
) -> None:
    table = context.recipe.score.get("dropout", {})
    options: Options = check_options("statistics", PluginChoice("dropout", table))
    picks_by_image = defaultdict[str, list[tuple[int, str]]](list)
    for index, pick in enumerate(picks):
        if pick.cell in cells:
            picks_by_image[pick.cell.image_id].append((index, pick.cell.task))
    for pool in scorer.batches(context, sorted(picks_by_image)):
        with torch.inference_mode():
            predict = partial(DropoutPasses.of, pool, options, context.seed)
            maps = head_maps(pool.passes(predict), context.tasks, MOMENTS[options.measure])
            final = pool.decoded(known=True).final
        for i, image_id in enumerate(pool.batch.ids):
            frame = pool.batch.frames[i]
            for index, task in picks_by_image[image_id]:
                definition = context.definitions[task]
                label = predicted_label(context.tasks[task], definition, final[task][i], frame)
                values = resize_to_original(maps[task][i], frame).cpu().numpy()
                pictures = {
                    "image": context.source.image(image_id),
                    "prediction": colour_map(definition, label.value, label.valid),
                    "uncertainty": heat_map(values),
                }
                for content, picture in pictures.items():
                    (folder / f"{index:03d}-{content}.jpg").write_bytes(jpeg(picture))
