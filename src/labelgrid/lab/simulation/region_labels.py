"""Requests random regions of images, and lets the data set answer inside these alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of, stream
from labelgrid.basics.words import count_text
from labelgrid.data.dataset import Source, nonempty_label, size_of
from labelgrid.lab.simulation.arms import Answers, InitialLabels
from labelgrid.ledger.grid import Cell, Move, Part, State, TaskRow, request_id
from labelgrid.ledger.store import CellRow
from labelgrid.project.cells.partitions import keep_partitions, read_kept
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import dataset_of
from labelgrid.regions.maker import ImageToDivide, PartitionMaker, build_maker, check_task, divide
from labelgrid.regions.partition import Partition
from labelgrid.regions.parts import region_classes

#: In place of the path of an answer's file: the data set's label.
ORACLE = "oracle"
#: Why a region is skipped.
NO_PIXEL = "the data set's label has no valid pixel in the region"


def region_requests(
    project: ProjectFolder, plan: InitialLabels, image_ids: Sequence[str], progress: Progress
) -> list[Move]:
    """Divide images, keep their partitions, and draw the requests of an initial plan.

    Images come in a random order, each with a random region that it has not had, until there are
    enough; then each task of the plan has the same regions.

    Raises:
        LabelgridError: a task is not bought by such regions, or there are too few.
    """
    maker = build_maker(plan.maker.name, plan.maker.options)
    rows = [row for row in project.store.tasks() if plan.may_have(row.name)]
    definitions = project.tasks()
    for row in rows:
        task = definitions[row.name]
        check_task(task, plan.maker.name, maker)
        if plan.answers == "keys" and not task.keys:
            raise RecipeError(
                f"A region of '{row.name}' has no key: the kind '{task.kind}' has no classes.",
                next_step='Leave the task out of initial.tasks, or set answers = "labels".',
            )
    divided = dict(_divided(project, maker, image_ids, progress))
    keep_partitions(project, divided.items(), PluginChoice(plan.maker.name, plan.maker.options))
    seed = seed_of(project.settings.seed, "initial", plan.plan)
    drawn = _draw(divided, plan.regions, seed)
    if len(drawn) < plan.regions:
        raise RecipeError(
            f"The {count_text(len(divided), 'image')} have {len(drawn):,} regions, and the initial "
            f"labels are of {plan.regions:,}.",
            next_step="Lower initial.regions, or raise initial.images or the maker's count.",
        )
    moves: list[Move] = []
    for image_id, region in drawn:
        moves += _requests(rows, image_id, region, divided[image_id])
    return moves


def _divided(
    project: ProjectFolder, maker: PartitionMaker, image_ids: Sequence[str], progress: Progress
) -> Iterator[tuple[str, Partition]]:
    assert project.settings.oracle is not None
    source = dataset_of(project.settings.oracle)
    progress.start("Dividing images", len(image_ids), "images")
    for image_id in image_ids:
        read = partial(source.image, image_id)
        yield (
            image_id,
            divide(
                maker, ImageToDivide(image_id=image_id, size=size_of(source, image_id), read=read)
            ),
        )
        progress.advance()


def _draw(divided: dict[str, Partition], count: int, seed: int) -> list[tuple[str, int]]:
    """Draw regions: the first of every image before the second of any.

    An image's draws depend on its id alone.
    """
    image_ids = list(divided)
    draws = keyed_uniform(image_keys(image_ids), seed).tolist()
    ranked = []
    for image_id, draw in zip(image_ids, draws, strict=True):
        order = stream(seed, "regions", image_id).permutation(divided[image_id].count)
        ranked += [(rank, draw, image_id, int(number) + 1) for rank, number in enumerate(order)]
    return [(image_id, region) for _, _, image_id, region in sorted(ranked)[:count]]


def _requests(
    rows: Sequence[TaskRow], image_id: str, region: int, partition: Partition
) -> Iterator[Move]:
    """A region's requests of each task, which cost a share of a whole label."""
    share = partition.share([region])
    for row in rows:
        part = Part(image_id, row.name, region)
        yield Move(
            cell=part,
            to=State.REQUESTED,
            round=1,
            request_id=request_id(1, part.cell),
            cost=row.cost * share,
            why="initial: regions",
            partition=partition.digest,
        )


def answer_regions(project: ProjectFolder, answers: Answers) -> int:
    """Answer the open requests of regions; returns their number.

    A region without a valid pixel is skipped, and one with keys gets the commonest class.
    """
    assert project.settings.oracle is not None
    rows = defaultdict[Cell, list[CellRow]](list)
    for row in project.store.parts(state=State.REQUESTED):
        rows[Cell(row.cell.image_id, row.cell.task)].append(row)
    source = dataset_of(project.settings.oracle)
    moves: list[Move] = []
    for cell, asked in rows.items():
        moves += _answers(project, source, cell, asked=asked, answers=answers)
    if moves:
        with project.store.transaction("import"):
            project.store.move(moves)
    return len(moves)


def _answers(
    project: ProjectFolder,
    source: Source,
    cell: Cell,
    *,
    asked: Sequence[CellRow],
    answers: Answers,
) -> Iterator[Move]:
    task = project.tasks()[cell.task]
    label = nonempty_label(source, cell.image_id, task)
    partition = read_kept(project, asked[0].partition)
    covered = np.zeros(partition.count + 1, np.int64)
    keys = None
    if label is not None:
        covered += np.bincount(partition.ids[label.valid], minlength=len(covered))
        if answers == "keys":
            keys = region_classes(partition, label).commonest
    for row in asked:
        assert isinstance(row.cell, Part)
        region = row.cell.region
        move = partial(Move, cell=row.cell, request_id=row.request_id, partition=row.partition)
        if not covered[region]:
            yield move(to=State.SKIPPED, why=NO_PIXEL)
            continue
        done = partial(move, to=State.LABELLED, cost=row.cost, classes=task.classes)
        yield done(path=ORACLE) if keys is None else done(value=int(keys[region - 1]))
