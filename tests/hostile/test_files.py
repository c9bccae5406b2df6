"""Damaged and foreign files of a project: each is refused with a sentence, none with a traceback, none hangs."""

import io
import json
import random
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from labelgrid.basics.errors import LabelgridError
from labelgrid.formats.arrays import samples
from labelgrid.images.reading import image_size, read_image
from labelgrid.nets.backbones import load_weights, read_state
from labelgrid.score.table import Table
from labelgrid.score.table_files import read_stamp, read_table, write_table
from labelgrid.score.weights import read_weights
from labelgrid.train.checkpoint import Checkpoint, load, save
from labelgrid.train.packing import pack

STATE = Checkpoint(
    epoch=1,
    step=2,
    network={"w": torch.ones(2)},
    optimiser={"state": {}},
    scaler={},
    parts={"t": {"a": torch.ones(1)}},
    history=[{"epoch": 1}],
    identity="{}",
)
STRANGE = (
    None,
    -1,
    "x",
    [],
    {"a": 1},
    {1: torch.ones(1)},
    torch.ones(1),
    torch.ones(2),
    {"w": torch.ones(2).to_sparse()},
    {(1, 2): 3},
)


def read_or_refused(read, path):
    try:
        read(path)
    except LabelgridError as error:
        assert str(error)
        return False
    return True


def refused(read, path):
    assert not read_or_refused(read, path), path


def header(text, magic=b"\x93NUMPY\x01\x00"):
    return magic + struct.pack("<H", len(text)) + text.encode("latin1") + bytes(64)


NPY = [
    *(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4",
        "'''",
        "{",
        "(" * 3000,
        "\0",
        "{}",
        "[]",
        "1" * 5000,
    ),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 9)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': ('a', 4)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2)}",
    "{'descr': 5, 'fortran_order': False, 'shape': (2, 2)}",
    "{'descr': '<f4', 'fortran_order': 3, 'shape': None}",
    "{'descr': ('<f4', (10**9, 10**9)), 'fortran_order': False, 'shape': ()}",
]


@pytest.mark.parametrize("text", NPY, ids=range(len(NPY)))
def test_wrong_headers_of_arrays_are_refused(text, tmp_path):
    (tmp_path / "a.npy").write_bytes(header(text))
    refused(samples, tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(header(text, b"\x93NUMPY\x09\x00"))
    refused(samples, tmp_path / "a.npy")


def test_damaged_arrays_are_read_or_refused(tmp_path):
    buffer, draw = io.BytesIO(), random.Random(0)
    np.save(buffer, np.ones((6, 5), np.float32))
    for _ in range(400):
        data = bytearray(buffer.getvalue())
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(110)] = draw.randrange(256)
        (tmp_path / "a.npy").write_bytes(
            data[: draw.choice((len(data), draw.randrange(len(data))))]
        )
        read_or_refused(samples, tmp_path / "a.npy")


def test_tiffs_with_damaged_directories_are_read_or_refused(tmp_path):
    buffer, draw = io.BytesIO(), random.Random(1)
    pages = [Image.fromarray(np.full((6, 5), page, np.uint8)) for page in (1, 2)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    whole, path = buffer.getvalue(), tmp_path / "a.tiff"
    second = len(whole) - 200
    for trial in range(600):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(second if trial % 2 else 0, len(data))] = draw.randrange(256)
        path.write_bytes(data)
        for read in (samples, read_image, image_size):
            read_or_refused(read, path)


def flipped(data, draw):
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def test_no_checkpoint_with_a_flipped_bit_is_read_with_other_weights(tmp_path):
    draw, expected = random.Random(4), torch.arange(4000.0)
    save(
        Checkpoint(
            epoch=1,
            step=2,
            network={"w": expected},
            optimiser={"state": {}},
            scaler={},
            parts={},
            history=[],
            identity="{}",
        ),
        tmp_path / "a.ckpt",
    )
    whole, refusals = (tmp_path / "a.ckpt").read_bytes(), 0
    for _ in range(60):
        (tmp_path / "b.ckpt").write_bytes(flipped(whole, draw))
        if read_or_refused(load, tmp_path / "b.ckpt"):
            assert torch.equal(load(tmp_path / "b.ckpt").network["w"], expected)
        else:
            refusals += 1
    assert refusals > 40


def test_no_score_table_with_a_flipped_bit_is_read_with_other_scores(tmp_path):
    draw, values = random.Random(5), np.random.default_rng(6).random((40, 2))
    write_table(
        Table(
            images=list(map(str, range(40))),
            statistics={"s": values},
            tasks=("x", "y"),
            stamp={},
            axes={"s": "cell"},
        ),
        tmp_path / "a.parquet",
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    for _ in range(300):
        (tmp_path / "b.parquet").write_bytes(flipped(whole, draw))
        if read_or_refused(read_table, tmp_path / "b.parquet"):
            np.testing.assert_array_equal(
                read_table(tmp_path / "b.parquet").statistics["s"], values
            )


def checkpoints():
    packed, joined = pack(vars(STATE))
    newest = {**packed, "joined": joined}
    for whole in (newest, {**vars(STATE), "format": 3}):
        for name in whole:
            for value in STRANGE:
                yield {**whole, name: value}
    yield from (
        {},
        [],
        3,
        None,
        {"format": 3},
        {**newest, "more": 1},
        {**newest, "format": 2},
        {**newest, "format": 3},
        {**vars(STATE), "format": 2},
        vars(STATE),
    )
    yield {name: value for name, value in newest.items() if name != "network"}


def test_foreign_checkpoints_are_read_or_refused(tmp_path):
    for values in checkpoints():
        torch.save(values, tmp_path / "a.ckpt")
        read_or_refused(lambda path: load(path).digest, tmp_path / "a.ckpt")
        read_or_refused(read_weights, tmp_path / "a.ckpt")
        read_or_refused(read_state, tmp_path / "a.ckpt")
    save(STATE, tmp_path / "a.ckpt")
    assert load(tmp_path / "a.ckpt").digest == STATE.digest
    for cut in (0, 10, 300):
        (tmp_path / "b.ckpt").write_bytes((tmp_path / "a.ckpt").read_bytes()[:cut])
        refused(load, tmp_path / "b.ckpt")


WEIGHTS = [
    {"weight": torch.ones(3, 2, dtype=torch.complex64), "bias": torch.ones(3)},
    {"weight": torch.ones(3, 2).to_sparse(), "bias": torch.ones(3)},
    *(
        {"weight": 3, "bias": None},
        {1: torch.ones(1)},
        [torch.ones(1)],
        torch.ones(3),
        {"state_dict": 4},
        {},
        None,
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("values", WEIGHTS, ids=range(len(WEIGHTS)))
def test_foreign_weights_are_refused(values, tmp_path):
    torch.save(values, tmp_path / "a.pth")
    refused(lambda path: load_weights(torch.nn.Linear(2, 3), path), tmp_path / "a.pth")


def table(path):
    axes = {"s": "cell", "v": "feature"}
    values = {"s": np.ones((3, 2)), "v": np.ones((3, 4), np.float32)}
    write_table(
        Table(
            images=["a", "b", "c"],
            statistics=values,
            tasks=("x", "y"),
            stamp={"model": "m"},
            axes=axes,
        ),
        path,
    )


METADATA = [
    *({}, [], 3, {"tasks": None}, {"tasks": ["x", "y"], "statistics": {"s": {}}, "stamp": {}}),
    {"tasks": ["x"], "statistics": {"s": {"axis": "cell", "width": 2}}, "stamp": {}},
    {"tasks": ["x", "y"], "statistics": {"s": {"axis": "cell", "width": 10**15}}, "stamp": {}},
    {"tasks": ["x", "y"], "statistics": {"v": {"axis": "feature", "width": 10**15}}, "stamp": {}},
    {"tasks": ["x", "y"], "statistics": {"v": {"axis": "nothing", "width": 4}}, "stamp": {}},
    {"tasks": ["x", "y"], "statistics": {"none": {"axis": "image", "width": 1}}, "stamp": {}},
    {"tasks": ["x", "y"], "statistics": {"s": -3}, "stamp": 4},
]


@pytest.mark.parametrize("metadata", METADATA, ids=range(len(METADATA)))
def test_score_tables_with_other_metadata_are_refused(metadata, tmp_path):
    table(tmp_path / "a.parquet")
    assert read_or_refused(read_table, tmp_path / "a.parquet")
    rows = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(
        {"labelgrid": json.dumps(metadata)}
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    refused(read_table, tmp_path / "a.parquet")
    read_or_refused(read_stamp, tmp_path / "a.parquet")


def test_score_tables_that_are_cut_mutated_or_of_others_are_read_or_refused(tmp_path):
    table(tmp_path / "a.parquet")
    whole, draw = (tmp_path / "a.parquet").read_bytes(), random.Random(2)
    metadata = pq.read_schema(tmp_path / "a.parquet").metadata
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "b.parquet").write_bytes(
            data[: draw.choice((len(data), draw.randrange(len(data))))]
        )
        read_or_refused(read_table, tmp_path / "b.parquet")
        read_or_refused(read_stamp, tmp_path / "b.parquet")
    for images in (["a", "a", "b"], [1, 2, 3], ["a", None, "b"]):
        columns = {"image": images, "s/x": [1.0] * 3, "s/y": [1.0] * 3, "v": [[1.0] * 4] * 3}
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), tmp_path / "c.parquet")
        refused(read_table, tmp_path / "c.parquet")
    for content in (b"", b"PAR1", b"x" * 100):
        (tmp_path / "d.parquet").write_bytes(content)
        refused(read_stamp, tmp_path / "d.parquet")
