"""Laws of labels composed from answered regions: what training reads, and nothing beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.files import digest
from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.progress import Silent
from labelgrid.data.part_labels import COMPOSED, REGIONS
from labelgrid.data.project_source import ProjectSource
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, Move, Part, State
from labelgrid.operations.extend import add
from labelgrid.operations.status import status_of
from labelgrid.operations.verify import verify
from labelgrid.project.cells.partitions import keep_partitions, read_kept
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import images_trained_on
from labelgrid.project.sources import source_of
from labelgrid.regions.partition import Partition
from labelgrid.rounds import fit, query
from labelgrid.rounds.context import labelled_images
from labelgrid.select.strategy import Budget
from tests.commands import run
from tests.projects import Said, make_project

COVERS = ["labelgrid.project.cells.partitions"]
#: Quarters of the left half; the right half is no region.
IDS = np.zeros((32, 64), np.int64)
IDS[:16, :16], IDS[:16, 16:32], IDS[16:, :16], IDS[16:, 16:32] = 1, 2, 3, 4


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    project, _ = make_project(tmp_path, n=4, holdout=1, tasks=("semseg", "depth"))
    image = next(row for row in project.store.images(("train",)) if row.height == 32)
    keep_partitions(project, [(image.image_id, PARTITION)], PluginChoice("files", {}))
    with project:
        yield project


PARTITION = Partition.of(IDS)


def first(project: ProjectFolder) -> str:
    (row,) = project.store.partitions([row.image_id for row in project.store.images()])
    return row.image_id


def key(project: ProjectFolder, region: int, value: int, **values: object) -> Move:
    classes = tuple(project.tasks()["semseg"].class_names)
    move = Move(
        cell=Part(first(project), "semseg", region),
        to=State.LABELLED,
        value=value,
        partition=PARTITION.digest,
        classes=classes,
        weight=2.0,
    )
    return replace(move, **values)  # type: ignore[arg-type]


def drawn(project: ProjectFolder, region: int, value: np.ndarray) -> Move:
    """The answer by a file, with a class for each pixel of the image."""
    task = project.tasks()["semseg"]
    path = project.folder / "labels" / f"{region}.png"
    path.parent.mkdir(exist_ok=True)
    task.write(path, LabelArray(value[..., None].astype(np.int64), np.ones(value.shape, bool)))
    relative = path.relative_to(project.folder).as_posix()
    return replace(key(project, region, 0), value=None, path=relative, digest=digest(path))


def label_of(project: ProjectFolder) -> LabelArray | None:
    source = source_of(project)
    assert isinstance(source, ProjectSource)
    return source.label(first(project), project.tasks()["semseg"])


def test_keys_and_files_are_one_label_that_is_valid_in_their_regions_alone(
    project: ProjectFolder,
) -> None:
    assert label_of(project) is None
    truth = np.arange(32 * 64).reshape(32, 64) % 3
    answers = [key(project, 1, 2), drawn(project, 4, truth)]
    asked = replace(key(project, 3, 0), to=State.REQUESTED, value=None)
    project.store.move([*answers, asked])
    label = label_of(project)
    assert label is not None
    assert np.array_equal(label.valid, np.isin(PARTITION.ids, (1, 4)))
    assert (label.value[PARTITION.ids == 1] == 2).all()
    inside = PARTITION.ids == 4
    assert np.array_equal(label.value[inside][:, 0], truth[inside])
    assert source_of(project).weight(first(project), "semseg") == 2.0


def test_what_a_file_says_outside_its_region_changes_nothing(project: ProjectFolder) -> None:
    labels = []
    for poison in (0, 2):
        map = np.where(PARTITION.ids == 2, 1, poison)
        with project.store.transaction("answer"):
            project.store.move([drawn(project, 2, map)])
        labels.append(label_of(project))
        last = project.store.last_operation()
        assert last
        project.store.undo(last.operation)
    first_label, second = labels
    assert first_label is not None and second is not None
    valid = first_label.valid
    assert np.array_equal(valid, second.valid)
    assert np.array_equal(first_label.value[valid], second.value[valid])


def test_a_whole_label_hides_the_regions_and_taken_back_shows_them(project: ProjectFolder) -> None:
    project.store.move([key(project, 1, 2)])
    cell = Cell(first(project), "semseg")
    whole = drawn(project, 9, np.ones((32, 64)))
    project.store.move([replace(whole, cell=cell, partition="", value=None)])
    label = label_of(project)
    assert label is not None and label.valid.all() and (label.value == 1).all()
    project.store.move([Move(cell=cell, to=State.MISSING)])
    label = label_of(project)
    assert label is not None and label.valid.sum() == PARTITION.areas[0]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_the_label_and_its_hash_follow_from_the_answers_in_any_order(
    project: ProjectFolder, order: Sequence[int]
) -> None:
    for region in order:
        project.store.move([key(project, region, region % 2)])
    source = source_of(project)
    assert isinstance(source, ProjectSource)
    task = project.tasks()["semseg"]
    assert source.label_content(first(project), task)
    (granted,) = source.labels.values()
    assert granted.parts and [part.region for part in granted.parts.parts] == [1, 2, 3]
    label = label_of(project)
    assert label is not None
    for region in order:
        assert (label.value[PARTITION.ids == region] == region % 2).all()


def test_a_composed_label_is_kept_and_its_folder_can_be_removed(project: ProjectFolder) -> None:
    project.store.move([key(project, 1, 2)])
    one = label_of(project)
    (kept,) = [path for path in (project.folder / COMPOSED).rglob("*") if path.is_file()]
    (project.folder / REGIONS / f"{PARTITION.digest}.png").rename(project.folder / "away.png")
    other = label_of(project)  # of the kept file
    kept.unlink()
    with pytest.raises(LabelError):
        label_of(project)
    assert one is not None and other is not None
    assert np.array_equal(one.value, other.value) and np.array_equal(one.valid, other.valid)


def test_classes_that_were_added_later_are_not_annotated_in_older_answers(
    project: ProjectFolder,
) -> None:
    names = tuple(project.tasks()["semseg"].class_names)
    project.store.move([key(project, 1, 1, classes=names[:-1])])
    label = label_of(project)
    assert label is not None and label.annotated is not None
    assert label.annotated.tolist() == [True] * (len(names) - 1) + [False]
    swapped = (names[1], names[0], *names[2:])
    project.store.move([key(project, 2, 1, classes=swapped)])  # by its name
    label = label_of(project)
    assert label is not None and (label.value[PARTITION.ids == 2] == 0).all()


def test_damaged_files_are_named_by_verify_and_stop_a_training(project: ProjectFolder) -> None:
    project.store.move([drawn(project, 2, np.ones((32, 64))), key(project, 1, 0)])
    assert not verify(project, Silent()).faults
    path = project.folder / "labels/2.png"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (fault,) = verify(project, Silent()).faults
    assert fault.cell == Cell(first(project), "semseg") and "2.png" in fault.where
    with pytest.raises(LabelError, match=r"2\.png"):
        fit.fit(project, Silent())
    path.write_bytes(content)
    partition = project.folder / REGIONS / f"{PARTITION.digest}.png"
    Partition.of(np.ones((32, 64), np.int64)).write(partition)
    (fault,) = verify(project, Silent()).faults
    assert "another partition" in fault.what


def test_a_training_learns_from_answered_regions(project: ProjectFolder) -> None:
    assert labelled_images(project, "train") == []
    project.store.move([key(project, 1, 2), key(project, 2, 0)])
    assert labelled_images(project, "train") == [first(project)]
    record = fit.fit(project, Silent())
    assert record.labels == {"semseg": 1} and record.trained == ["semseg"]


def test_a_kept_partition_is_read_back_and_written_once(project: ProjectFolder) -> None:
    partition = read_kept(project, PARTITION.digest)
    assert np.array_equal(partition.ids, PARTITION.ids)
    (row,) = project.store.partitions([first(project)])
    assert (row.maker, row.count) == ("files", 4) and "labelgrid" in row.version
    before = (project.folder / REGIONS / f"{PARTITION.digest}.png").stat().st_mtime_ns
    keep_partitions(project, [(first(project), PARTITION)], PluginChoice("squares", {}))
    assert (project.folder / REGIONS / f"{PARTITION.digest}.png").stat().st_mtime_ns == before
    assert project.store.partitions([first(project)]) == [row]


def test_what_is_asked_for_or_had_in_part_is_not_bought_whole(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, strategy=PluginChoice("random_cells", {}))
    image = first(project)
    depth = [Cell(name, "depth") for name in source_of(project).images()]
    project.store.move([Move(cell=cell, to=State.LABELLED, path="x") for cell in depth])
    asked = replace(key(project, 1, 0), to=State.REQUESTED, value=None)
    project.store.move([asked])
    said = Said()
    picks = query.query(project, Budget(99, "labels"), said, prelabels=False, dry_run=True).picks
    assert Cell(image, "semseg") not in {pick.cell for pick in picks} and picks
    assert "Not offered: 1 cell with requested regions, 0 with answers for all" in str(said.lines)
    project.store.move([key(project, region, 0) for region in (1, 2, 3, 4)])
    said = Said()
    picks = query.query(project, Budget(99, "labels"), said, prelabels=False, dry_run=True).picks
    assert Cell(image, "semseg") not in {pick.cell for pick in picks}
    assert "Not offered: 0 cells with requested regions, 1 with answers" in str(said.lines)
    values = status_of(project)["tasks"]["semseg"]
    expected = {"requested": 0, "labelled": 4, "skipped": 0, "cells": 1}
    assert values["in_part"] == expected
    assert "1 cell in part, regions: 0 requested, 4 labelled, 0 skipped" in run(
        "status", project.folder
    )


def test_a_cell_that_is_partly_answered_may_be_bought_whole(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, strategy=PluginChoice("random_cells", {}))
    project.store.move([key(project, 1, 0)])
    asked = query.query(project, Budget(99, "labels"), Silent(), prelabels=False).picks
    assert Cell(first(project), "semseg") in {pick.cell for pick in asked}
    assert project.store.differing_cells() == []


def test_an_image_with_an_answered_region_counts_as_trained_on_and_keeps_its_picture(
    project: ProjectFolder,
) -> None:
    project.store.move([key(project, 1, 0)])
    record = fit.fit(project, Silent())
    rows = list(project.store.images())
    assert images_trained_on(project.store, rows, [record]) == {first(project)}
    path = Path(project.store.image(first(project)).root) / first(project)
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    with pytest.raises(ImageError, match="1 image with labels or requests changed on disk"):
        add(project, [path.parents[first(project).count("/")]], [], "full", Silent())
