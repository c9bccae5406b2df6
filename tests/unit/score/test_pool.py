"""Gathering over the pool: in parts, resumable, stamped; tables and their staleness."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelgrid.basics.errors import PluginError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell
from labelgrid.score.pool import Explaining, ScoringJob, gather
from labelgrid.score.statistic import Statistic
from labelgrid.score.statistics import confidence
from labelgrid.score.statistics.dropout import Dropout, Options
from labelgrid.score.table import EXPLAINING, Table
from labelgrid.score.table_files import (
    read_cell,
    read_component,
    read_stamp,
    read_statistic,
    read_table,
    write_table,
)
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.trained_model import TrainedModel
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

COVERS = ["labelgrid.score.table", "labelgrid.score.table_files"]


class Counting(Statistic):
    """A statistic that counts the images it was asked for, and dies after some."""

    def __init__(self, dies_after=10**9):
        self.seen, self.left = [], dies_after

    def __call__(self, batch):
        self.left -= len(batch.keys)
        if self.left < 0:
            raise KeyboardInterrupt
        self.seen += batch.batch.ids
        return batch.features.shared.mean((2, 3))[:, :2].double().numpy()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=7, size=(32, 64), tasks=("depth", "normals")
    )


def run(
    made, folder, statistic, stamp="one", names=None, explaining=None, net="pad_net", network=None
):
    found = definitions(list(made.rows))
    tasks = build_all(found)
    stamps = {"model": stamp}
    work = ScoringJob(
        model=TrainedModel(network=network or toy_network(tasks, net)),
        tasks=tasks,
        definitions=found,
        source=source_of(made),
        data=DATA,
        statistics={"count": statistic},
        stamp=stamps,
        batch=2,
        workers=0,
    )
    return gather(
        work,
        names or list(made.names),
        folder=folder,
        progress=Silent(),
        explaining=explaining,
        size=2,
    )


def test_what_explains_has_a_file_of_its_own_and_changes_no_score(made, tmp_path):
    alone, beside, pool = Counting(), Counting(), made.names[2:5]
    run(made, tmp_path / "alone", alone, names=pool)
    with pytest.raises(KeyboardInterrupt):  # stopped among the further images
        run(
            made,
            tmp_path / "both",
            beside,
            names=pool,
            explaining=explaining(made, Counting(dies_after=4)),
        )
    rest = Counting()
    run(made, tmp_path / "both", beside, names=pool, explaining=explaining(made, rest))
    assert alone.seen == beside.seen == list(pool) and rest.seen == [made.names[0], *made.names[5:]]
    files = {name: (tmp_path / name / "scores.parquet").read_bytes() for name in ("alone", "both")}
    assert files["alone"] == files["both"]
    found = read_table(tmp_path / "both" / EXPLAINING)
    assert set(found.statistics) == {"why"} and found.stamp == {"model": "one", "explaining": "x"}
    assert set(found.images) == {*pool, made.names[0], *made.names[5:]}
    expected = run(made, tmp_path / "all", Counting())
    rows = made.names[5:]
    np.testing.assert_allclose(
        found.aligned(rows)["why"], expected.aligned(rows)["count"], atol=1e-6
    )
    run(made, tmp_path / "both", Counting(), names=pool)  # asked for no longer
    assert [path.name for path in (tmp_path / "both").iterdir()] == ["scores.parquet"]
    assert run(
        made,
        tmp_path / "none",
        Counting(),
        names=["0000.jpg"],
        explaining=Explaining({"why": rest}),
    ).images


def explaining(made, statistic):
    return Explaining({"why": statistic}, [made.names[0], *made.names[4:]], {"explaining": "x"})


def test_labels_of_images_that_only_explain_are_not_read(made, tmp_path):
    class Labels(Counting):
        def __call__(self, batch):
            labelled.extend(len(batch.batch.targets) for _ in batch.keys)
            return super().__call__(batch)

    labelled = []
    run(made, tmp_path, Labels(), names=made.names[:4], explaining=explaining(made, Counting()))
    assert labelled == [2] * 4
    labelled.clear()
    run(made, tmp_path, Counting(), names=made.names[:4], explaining=explaining(made, Labels()))
    assert labelled == [2] * 4 + [0] * 3


@pytest.mark.parametrize(
    ("net", "reads", "count"),
    [("shared_heads", "passes", 0), ("shared_heads", "network", 2), ("pad_net", "passes", 2)],
)
def test_labels_are_read_where_they_can_change_a_value_alone(made, tmp_path, net, reads, count):
    class Labels(Counting):
        def __call__(self, batch):
            found.append(len(batch.batch.targets))
            return super().__call__(batch)

    found = []
    statistic = Labels()
    statistic.reads = reads
    run(made, tmp_path, statistic, net=net)
    assert found == [count] * 4


def test_scores_are_the_same_bits_whether_labels_that_change_nothing_are_read(made, tmp_path):
    tables = {}
    for reads in ("passes", "network"):
        statistic = Dropout(Options(rate=0.5), 7)
        object.__setattr__(statistic, "reads", reads)
        run(made, tmp_path / reads, statistic, net="shared_heads")
        tables[reads] = (tmp_path / reads / "scores.parquet").read_bytes()
    assert tables["passes"] == tables["network"]


class Decodes:
    """A network that counts its decodings."""

    def __init__(self, network):
        self.count = 0
        self.decode, network.decode = network.decode, self

    def __call__(self, *arguments):
        self.count += 1
        return self.decode(*arguments)


def test_a_batch_is_decoded_once_for_all_that_reads_its_output(made, tmp_path):
    found = definitions(list(made.rows))
    network = toy_network(build_all(found))
    decodes = Decodes(network)
    beside = {"confidence": confidence.build(0, confidence.Options()), "why": Counting()}
    explaining = Explaining(beside)
    statistic = Dropout(Options(), 7)
    run(made, tmp_path, statistic, network=network, explaining=explaining)
    assert decodes.count == 4


def test_a_stopped_pass_goes_on_where_it_was_and_ends_the_same(made, tmp_path):
    whole = run(made, tmp_path / "whole", Counting())
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "cut", Counting(dies_after=5))
    rest = Counting()
    again = run(made, tmp_path / "cut", rest)
    assert set(rest.seen) == set(made.names[4:])
    np.testing.assert_array_equal(whole.statistics["count"], again.statistics["count"])
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["scores.parquet"]


def test_parts_of_another_stamp_are_done_again(made, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path, Counting(dies_after=5), stamp="old")
    fresh = Counting()
    run(made, tmp_path, fresh, stamp="new")
    assert set(fresh.seen) == set(made.names)
    assert read_stamp(tmp_path / "scores.parquet") == {"model": "new"}


def test_a_table_comes_back_and_aligns_by_image(tmp_path):
    table = Table(
        images=["a", "b"],
        statistics={"x": np.array([[1.0, np.nan], [3.0, 4.0]])},
        tasks=("depth", "normals"),
        stamp={"model": "m"},
        axes={"x": "cell"},
    )
    write_table(table, tmp_path / "t.parquet")
    again = read_table(tmp_path / "t.parquet")
    assert (list(again.images), again.tasks, again.stamp) == (
        ["a", "b"],
        ("depth", "normals"),
        {"model": "m"},
    )
    np.testing.assert_array_equal(again.statistics["x"], table.statistics["x"])
    np.testing.assert_array_equal(again.aligned(["b", "z", "a"])["x"][:, 0], [3.0, np.nan, 1.0])


def test_features_as_wide_as_there_are_tasks_and_numbers_of_images_keep_their_axis(tmp_path):
    values = {
        "cells": np.eye(2),
        "features": np.ones((2, 2), np.float32),
        "images": np.array([1.0, np.nan]),
    }
    axes = {"cells": "cell", "features": "feature", "images": "image"}
    write_table(
        Table(
            images=["a", "b"], statistics=values, tasks=("depth", "normals"), stamp={}, axes=axes
        ),
        tmp_path / "t.parquet",
    )
    again = read_table(tmp_path / "t.parquet")
    assert again.axes == axes and again.statistics["features"].dtype == np.float32
    for name, array in values.items():
        np.testing.assert_array_equal(again.statistics[name], array)
    moved = again.aligned(["z", "b"])
    assert np.isnan(moved["images"]).all() and moved["features"].dtype == np.float32
    np.testing.assert_array_equal(moved["features"], [[np.nan, np.nan], [1, 1]])


def test_a_table_of_before_axes_were_declared_is_read(tmp_path):
    columns = {
        "image": ["a", "b"],
        "x/depth": [1.0, 2.0],
        "x/normals": [3.0, 4.0],
        "y/0": [5.0, 6.0],
    }
    kept = {"stamp": {"model": "m"}, "tasks": ["depth", "normals"], "statistics": {"x": 2, "y": 1}}
    rows = pa.table(columns).replace_schema_metadata({"labelgrid": json.dumps(kept)})
    pq.write_table(rows, tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.axes == {"x": "cell", "y": "feature"} and table.stamp == read_stamp(
        tmp_path / "t.parquet"
    )
    np.testing.assert_array_equal(table.statistics["x"], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(table.statistics["y"], [[5], [6]])


MEMORY = """
import sys
from pathlib import Path

import numpy as np

from labelgrid.score.table import Table
from labelgrid.score.table_files import read_table, table_parts, write_table

path, parts, rows, width = Path(sys.argv[1]), 100, 500, 512
def made(part):
    values = np.full((rows, width), part, np.float32)
    images = [f"{part * rows + row:08d}" for row in range(rows)]
    return Table(
        images=images, statistics={"x": values}, tasks=("a",), stamp={}, axes={"x": "feature"}
    )
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with the parent process's
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
write_table(made(0), path)
read_table(path)
before = peak()
with table_parts(path, 256) as file:
    for part in range(parts):
        file.add(made(part))
written = peak()
found = read_table(path).aligned([f"{row:08d}" for row in range(parts * rows)])["x"]
assert found.shape == (parts * rows, width) and found[-1, -1] == parts - 1
print(written - before, peak() - before, found.nbytes / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_table_of_features_is_written_in_parts_and_read_into_one_array(tmp_path):
    words = [sys.executable, "-c", MEMORY, str(tmp_path / "t.parquet")]
    ran = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    written, read, size = map(float, ran.stdout.split())
    assert written < 0.5 * size and read < 1.25 * size, (written, read, size)


def test_numbers_of_another_shape_than_the_axis_says_are_refused(made, tmp_path):
    class Wrong(Counting):
        axis = "image"

    with pytest.raises(
        PluginError, match=r"'count' returns values of shape \[2, 2\] for 2 images and 2 tasks"
    ):
        run(made, tmp_path, Wrong())


def test_an_empty_pool_has_an_empty_table(tmp_path):
    table = Table(images=[], statistics={}, tasks=("depth",), stamp={}, axes={})
    write_table(table, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").images) == []


@pytest.mark.parametrize("content", [b"", b"PAR1 no", None])
def test_a_file_that_is_no_score_table_is_refused(tmp_path, content):
    path = tmp_path / "t.parquet"
    if content is None:
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(ProjectError, match=r"The score table cannot be read"):
        read_table(path)


def test_a_table_whose_images_are_numbers_is_refused_by_each_reader(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(
        Table(
            tasks=("depth",),
            images=["a", "b"],
            statistics={"x": np.zeros((2, 3))},
            axes={"x": "feature"},
            stamp={},
        ),
        path,
    )
    rows = pq.read_table(path)
    column = rows.column_names.index("image")
    pq.write_table(rows.set_column(column, "image", pa.array([1, 2])), path)
    for read in (
        lambda: read_table(path),
        lambda: read_statistic(path, "x"),
        lambda: read_component(path, "x", "depth", number=0),
        lambda: read_cell(path, Cell("a", "depth")),
    ):
        with pytest.raises(ProjectError, match=r"The score table cannot be read"):
            read()
