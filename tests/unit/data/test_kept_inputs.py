"""Kept network inputs: batches are the same bit for bit, and only sound files of the same image count."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.files import digest
from labelgrid.basics.kept_files import KeptFiles
from labelgrid.basics.progress import Silent
from labelgrid.data import kept_inputs
from labelgrid.data.batch import Batch
from labelgrid.data.cache import cache_source
from labelgrid.data.cameras import Cameras, View
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import content_of
from labelgrid.data.derived import DerivedSource
from labelgrid.data.layouts import folder
from labelgrid.data.loader import eval_batches, train_batches
from labelgrid.data.project_source import GrantedLabel, ProjectSource
from labelgrid.data.view_memory import ViewMemory
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef, TaskDefs, definitions
from tests.support import Made, make_dataset

PLAIN = DataOptions(size=(24, 32), kept_views=2)
VARIED = DataOptions(
    size=(24, 32), zoom=(0.8, 1.2, 1.5), jitter=0.2, rotate=8.0, fit="pad", kept_views=5
)
CROPS = replace(VARIED, fit="crop", flip=0.0, rotate=0.0)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=6, size=[(30, 40), (40, 30)])


@pytest.fixture
def tasks(made: Made) -> TaskDefs:
    return definitions(made.rows)


class Decoded(ProjectSource):
    """Notes each image that is decoded, and the image of each label."""

    seen: list[str]
    read: list[str]

    def image(self, image_id: str) -> Any:
        self.seen.append(image_id)
        return super().image(image_id)

    def label(self, image_id: str, task: TaskDef) -> Any:
        self.read.append(image_id)
        return super().label(image_id, task)


def source_of(made: Made, *, known: bool = True) -> Decoded:
    files = {}
    labels = {}
    for name in made.names:
        files[name] = (str(made.images), digest(made.images / name) if known else "")
        for row in made.rows:
            path = made.label(name, row.name)
            labels[Cell(name, row.name)] = GrantedLabel(path, 1.0, digest(path))
    source = Decoded(files, labels, Cameras(View(field_of_view=60.0)))
    object.__setattr__(source, "seen", [])
    object.__setattr__(source, "read", [])
    return source


def kept_in(path: Path, limit: int = 2**20) -> KeptFiles:
    return KeptFiles(path / "features", limit)


def trained_on(source: ProjectSource, tasks: TaskDefs, options: DataOptions, **more: Any) -> Any:
    names = list(source.images())
    words = {"batch": 3, "seed": 1, "epoch": 0, "epochs": 12, **more}
    return list(train_batches(source, tasks, names, options, **words))


def seen_whole(source: ProjectSource, tasks: TaskDefs, options: DataOptions, **more: Any) -> Any:
    def labels(image_id: str) -> Any:
        return {name: source.label(image_id, task) for name, task in tasks.items()}

    names = list(source.images())
    return list(eval_batches(source, tasks, names, options, batch=2, known_labels=labels, **more))


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.ids == other.ids and one.frames == other.frames
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.camera, other.camera)  # type: ignore[arg-type]
        for name, target in one.targets.items():
            assert torch.equal(target.value, other.targets[name].value), name
            assert torch.equal(target.valid, other.targets[name].valid), name


@pytest.mark.parametrize("options", [PLAIN, VARIED, CROPS])
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_the_same_and_no_image_is_decoded_twice_for_a_view(
    made: Made, tasks: TaskDefs, tmp_path: Path, options: DataOptions, workers: int
) -> None:
    plain = source_of(made)
    words = {"workers": workers, "kept": kept_in(tmp_path)}
    for _ in range(2):
        source = source_of(made)
        assert_same(trained_on(source, tasks, options, **words), trained_on(plain, tasks, options))
        assert_same(seen_whole(source, tasks, options, **words), seen_whole(plain, tasks, options))
    assert not source.seen
    files = [path for path in (tmp_path / "features").rglob("*") if path.is_file()]
    wholes = 1 if options.fit == "crop" else 0
    views = options.kept_views * (1 + len(tasks))
    assert len(files) <= (views + wholes) * len(made.names)


@pytest.mark.parametrize("options", [PLAIN, VARIED, CROPS])
@pytest.mark.parametrize("filled", [False, True])
def test_no_label_is_read_twice_for_a_view(
    made: Made, tasks: TaskDefs, tmp_path: Path, options: DataOptions, filled: bool
) -> None:
    plain = source_of(made)
    words = {"memory": ViewMemory(0), "kept": kept_in(tmp_path)}
    for read in (True, False):
        source = source_of(made)
        del source.labels[Cell(made.names[1], "depth")]  # type: ignore[attr-defined]
        plain.labels.pop(Cell(made.names[1], "depth"), None)  # type: ignore[attr-defined]
        wrapped = DerivedSource(source, tasks, {}) if filled else source
        assert_same(trained_on(wrapped, tasks, options, **words), trained_on(plain, tasks, options))  # type: ignore[arg-type]
        assert set(source.read) == (set(made.names) if read else {made.names[1]})


def test_kept_labels_are_of_the_same_file_and_declaration(
    made: Made, tasks: TaskDefs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_in(tmp_path)
    trained_on(source_of(made), tasks, PLAIN, kept=kept)
    rows = [row for row in made.rows if row.kind == "depth"]
    other = definitions([replace(row, options={**row.options, "disparity": True}) for row in rows])
    assert_same(
        trained_on(source_of(made), other, PLAIN, kept=kept),
        trained_on(source_of(made), other, PLAIN),
    )
    source = source_of(made)
    older = source.labels[Cell(made.names[0], "semseg")]._replace(classes=2)
    source.labels[Cell(made.names[0], "semseg")] = older  # type: ignore[index]
    batches = trained_on(source, tasks, PLAIN, kept=kept)
    assert_same(batches, trained_on(source, tasks, PLAIN))
    assert any(batch.targets["semseg"].annotated is not None for batch in batches)
    depth = tasks["depth"]
    foreign = replace(depth, spec=replace(depth.spec, transform=lambda *_: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        trained_on(source, {"depth": foreign}, PLAIN, kept=kept)
    path = made.label(made.names[0], "depth")
    path.write_bytes(made.label(made.names[2], "depth").read_bytes())
    with pytest.raises(LabelError, match="changed"):
        trained_on(source, tasks, PLAIN, kept=kept)


def test_the_whole_image_is_kept_once_for_training_and_scoring(
    made: Made, tasks: TaskDefs, tmp_path: Path
) -> None:
    source = source_of(made)
    kept = kept_in(tmp_path)
    trained_on(source, tasks, PLAIN, kept=kept)
    source.seen.clear()
    seen_whole(source, {}, replace(PLAIN, std=(0.5, 0.5, 0.5)), kept=kept)
    assert not source.seen
    seen_whole(source, {}, replace(PLAIN, size=(24, 40)), kept=kept)
    assert source.seen == list(made.names)


def test_a_view_that_is_drawn_anew_is_not_kept(made: Made, tasks: TaskDefs, tmp_path: Path) -> None:
    kept = kept_in(tmp_path)
    trained_on(source_of(made), tasks, replace(VARIED, kept_views=0), kept=kept)
    assert not kept.folder.exists()


@pytest.mark.parametrize("known", [True, False])
def test_another_image_in_the_file_is_noticed(
    made: Made, tasks: TaskDefs, tmp_path: Path, known: bool
) -> None:
    source = source_of(made, known=known)
    kept = kept_in(tmp_path)
    seen_whole(source, {}, PLAIN, kept=kept)
    first, second = made.names[0], made.names[2]
    (made.images / first).write_bytes((made.images / second).read_bytes())
    if known:
        with pytest.raises(ImageError, match="not the one that was added"):
            seen_whole(source, {}, PLAIN, kept=kept)
    else:
        assert_same(seen_whole(source, {}, PLAIN, kept=kept), seen_whole(source, {}, PLAIN))
    (made.images / first).unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        seen_whole(source, {}, PLAIN, kept=kept)


def test_two_equal_images_share_wholes_and_no_drawn_views(
    made: Made, tasks: TaskDefs, tmp_path: Path
) -> None:
    first, second = made.names[0], made.names[2]
    (made.images / first).write_bytes((made.images / second).read_bytes())
    for row in made.rows:
        made.label(first, row.name).write_bytes(made.label(second, row.name).read_bytes())
    for options in (PLAIN, VARIED):
        batches = trained_on(source_of(made), tasks, options, kept=kept_in(tmp_path))
        assert_same(batches, trained_on(source_of(made), tasks, options))


def test_a_label_of_another_size_is_refused_beside_a_kept_image(
    made: Made, tasks: TaskDefs, tmp_path: Path
) -> None:
    source = source_of(made)
    kept = kept_in(tmp_path)
    seen_whole(source, tasks, PLAIN, kept=kept)
    trained_on(source, tasks, PLAIN, kept=kept)
    one, other = made.names[:2]
    source.labels[Cell(one, "depth")] = source.labels[Cell(other, "depth")]  # type: ignore[index]
    for read in (seen_whole, trained_on):
        with pytest.raises(LabelError, match="30x40"):
            read(source, tasks, PLAIN, kept=kept)


@pytest.mark.parametrize("at", [0, 3, 4, 9, 30, -1])
def test_a_damaged_file_counts_as_missing_and_is_written_again(
    made: Made, tmp_path: Path, at: int
) -> None:
    source = source_of(made)
    kept = kept_in(tmp_path)
    plain = seen_whole(source, {}, PLAIN, kept=kept)
    source.seen.clear()
    path = next(path for path in kept.folder.rglob("*") if path.is_file())
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    for decoded in (1, 0):
        assert_same(seen_whole(source, {}, PLAIN, kept=kept), plain)
        assert len(source.seen) == decoded
        source.seen.clear()
    for size in (0, 3, 4, 12):
        path.write_bytes(path.read_bytes()[:size])
        assert_same(seen_whole(source, {}, PLAIN, kept=kept), plain)


def test_beyond_the_limit_images_are_decoded(made: Made, tmp_path: Path) -> None:
    source = source_of(made)
    kept = kept_in(tmp_path, limit=2 * (24 * 32 * 3 + 50))
    plain = seen_whole(source, {}, PLAIN)
    for _ in range(2):
        assert_same(seen_whole(source, {}, PLAIN, kept=kept), plain)
    assert len([path for path in kept.folder.rglob("*") if path.is_file()]) == 2


def test_inputs_of_another_version_are_not_read(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(made)
    seen_whole(source, {}, PLAIN, kept=kept_in(tmp_path))
    for library in (kept_inputs.cv2, kept_inputs.PIL):
        source.seen.clear()
        with monkeypatch.context() as changed:
            changed.setattr(library, "__version__", "another")
            seen_whole(source, {}, PLAIN, kept=kept_in(tmp_path))
        assert len(source.seen) == len(made.names)


def test_a_source_of_unknown_contents_keeps_nothing_and_wrapped_ones_tell_theirs(
    made: Made, tasks: TaskDefs, tmp_path: Path
) -> None:
    unknown = folder.build(made.root)
    kept = kept_in(tmp_path)
    list(eval_batches(unknown, {}, unknown.images(), PLAIN, batch=2, kept=kept))
    assert not kept.folder.exists()
    source = source_of(made)
    names = list(made.names)

    with cache_source(source, tasks, names, 2**20, tmp_path, Silent()) as cached:
        assert [content_of(cached, name) for name in names] == [
            digest(made.images / name) for name in names
        ]
        batches = trained_on(cached, tasks, PLAIN, kept=kept)  # type: ignore[arg-type]
    assert_same(batches, trained_on(source, tasks, PLAIN))
    assert np.array_equal(source.image(names[0]), unknown.image(names[0]))
