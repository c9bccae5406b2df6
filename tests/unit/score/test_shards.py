"""Laws of shards: the same table from any, done by stamp and images, and what a damaged image does to one."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import ImageError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.score import shards as score_shards_module
from labelgrid.score.pool import (
    Explaining,
    ScoringJob,
    gather,
    is_readable,
    score_shard,
    score_shards,
)
from labelgrid.score.shards import JoinedScores, PoolShards
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.score.table import EXPLAINING, FILE, Table
from labelgrid.score.table_files import read_table
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.trained_model import TrainedModel
from tests.support import Made, make_dataset
from tests.toys import DATA, source_of, toy_network

N = 21


class Means(Statistic):
    """The mean prediction of each cell; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, ...]] = []

    def __call__(self, batch: PoolBatch) -> np.ndarray:
        self.batches.append(batch.batch.ids)
        raws = batch.output.final.values()
        return np.stack([raw.mean((1, 2, 3)).numpy() for raw in raws], 1)


class Pooled(Means):
    axis = "feature"

    def __call__(self, batch: PoolBatch) -> np.ndarray:
        self.batches.append(batch.batch.ids)
        return batch.features.shared.mean((2, 3)).numpy()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=N, size=[(32, 64), (48, 40)], tasks=("depth", "normals")
    )


def job_of(made: Made, *, model: str = "m") -> ScoringJob:
    found = definitions(list(made.rows))
    tasks = build_all(found)
    return ScoringJob(
        model=TrainedModel(network=toy_network(tasks)),
        tasks=tasks,
        definitions=found,
        source=source_of(made),
        data=DATA,
        statistics={"mean": Means()},
        stamp={"model": model},
        leaves_out=True,
    )


def shards_of(
    made: Made, folder: Path, size: int, *, model: str = "m", further: int = 3
) -> PoolShards:
    names = sorted(made.names)
    return PoolShards(
        folder=folder,
        pool=names[: N - further],
        further=names[N - further :],
        size=size,
        statistics={"mean"},
        explaining={"pooled"},
        stamp={"model": model},
        explaining_stamp={"explaining": "x"},
    )


def score(made: Made, shards: PoolShards) -> tuple[list[tuple[str, ...]], JoinedScores]:
    """Score what is not done; returns the batches."""
    job = job_of(made, model=shards.stamp["model"])
    mean, pooled = job.statistics["mean"], Pooled()
    score_shards(job, Explaining({"pooled": pooled}), shards, Silent())
    assert isinstance(mean, Means)
    return pooled.batches, shards.join()


def test_one_two_or_seven_shards_are_the_same_table_bit_for_bit(made: Made, tmp_path: Path) -> None:
    found = {}
    for count, size in ((1, 64), (2, 16), (3, 8)):
        folder = tmp_path / str(count)
        shards = shards_of(made, folder, size)
        assert sum(shard.in_pool for shard in shards) == count
        batches, _ = score(made, shards)
        found[count] = batches, (folder / FILE).read_bytes(), (folder / EXPLAINING).read_bytes()
        assert {path.name for path in folder.iterdir()} == {FILE, EXPLAINING}
    tables = {count: read_table(tmp_path / str(count) / FILE) for count in found}
    for count in (2, 3):
        assert found[count][0] == found[1][0]
        for name, values in tables[1].statistics.items():
            assert tables[count].statistics[name].tobytes() == values.tobytes()
        assert tables[count].images == tables[1].images


def test_a_shard_is_done_again_if_its_model_images_or_bytes_are_others(
    made: Made, tmp_path: Path
) -> None:
    def done(shards: PoolShards) -> list[bool]:
        readable = partial(is_readable, source_of(made))
        return [shards.is_done(shard, readable) for shard in shards]

    shards = shards_of(made, tmp_path, 8)
    job = job_of(made)
    score_shards(job, Explaining({"pooled": Pooled()}), shards, Silent())
    assert done(shards) == [True] * 4 and shards.kept_size() == 8
    other = shards_of(made, tmp_path, 8, model="n")
    assert not any(done(other)) and other.kept_size() == 0
    assert not any(done(shards_of(made, tmp_path, 16)))
    assert done(shards_of(made, tmp_path, 8, further=2)) == [True, True, False, False]
    paths = [shard.path for shard in shards]
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    paths[2].unlink()
    assert done(shards) == [True, False, False, True] and shards.kept_size() == 8
    with pytest.raises(ProjectError, match="The scores of 8 images are not there"):
        shards.join()
    assert paths[0].exists()
    batches, joined = score(made, shards)
    assert len(joined.table.images) == N - 3
    scored = {name for batch in batches for name in batch}
    assert scored == set(shards.pool[8:])


def test_each_shard_is_read_once_to_be_joined(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = shards_of(made, tmp_path, 8)
    job = job_of(made)
    score_shards(job, Explaining({"pooled": Pooled()}), shards, Silent())
    read: list[Path] = []

    def count(path: Path) -> Table:
        read.append(path)
        return read_table(path)

    monkeypatch.setattr(score_shards_module, "read_table", count)
    shards.join()
    assert read == [*(shard.path for shard in shards), tmp_path / FILE]


def test_a_damaged_image_is_a_row_with_its_reason_and_changes_no_other_row(
    made: Made, tmp_path: Path
) -> None:
    bad = sorted(made.names)[4]
    path = made.images / bad
    content = path.read_bytes()
    _, whole = score(made, shards_of(made, tmp_path / "whole", 8))
    path.write_bytes(content[: len(content) // 2])
    try:
        shards = shards_of(made, tmp_path / "cut", 8)
        job = job_of(made)
        score_shards(job, Explaining({"pooled": Pooled()}), shards, Silent())
        first = next(iter(shards)).read()
        assert first is not None and list(first.images) == shards.pool[:8]
        assert list(first.faults) == [bad] and np.isnan(first.statistics["mean"][4]).all()
        _, joined = score(made, shards)
        with pytest.raises(ImageError):
            gather(replace(job_of(made), leaves_out=False), shards.pool, tmp_path / "n", Silent())
    finally:
        path.write_bytes(content)
    assert list(joined.faults) == [bad] and joined.faults[bad]
    assert list(joined.table.images) == [name for name in shards.pool if name != bad]
    np.testing.assert_allclose(
        joined.table.statistics["mean"],
        whole.table.aligned(joined.table.images)["mean"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_shard_with_a_fault_is_done_again_once_the_image_can_be_read(
    made: Made, tmp_path: Path
) -> None:
    path = made.images / sorted(made.names)[4]
    content = path.read_bytes()
    shards = shards_of(made, tmp_path, 8)
    path.unlink()
    try:
        score_shards(job_of(made), Explaining({"pooled": Pooled()}), shards, Silent())
        assert all(shards.is_done(shard, partial(is_readable, source_of(made))) for shard in shards)
    finally:
        path.write_bytes(content)
    batches, joined = score(made, shards)
    assert len(batches) and not joined.faults and len(joined.table.images) == N - 3


@contextmanager
def full_disk() -> Iterator[None]:
    """A disk that takes no file of more than 100 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_a_sentence_and_leaves_the_finished_shards(
    made: Made, tmp_path: Path
) -> None:
    shards = shards_of(made, tmp_path, 8)
    first, second, *_ = shards
    explaining = Explaining({"pooled": Pooled()})
    score_shard(first, job_of(made), explaining, Silent())
    with full_disk(), pytest.raises(ProjectError) as caught:
        score_shard(second, job_of(made), explaining, Silent())
    text = str(caught.value)
    assert "The disk reports an error" in text and "scores of finished shards are kept" in text
    assert list(tmp_path.iterdir()) == [first.path]
    batches, joined = score(made, shards)
    assert first.items[0] not in {name for batch in batches for name in batch}
    assert len(joined.table.images) == N - 3
