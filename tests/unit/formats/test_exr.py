"""Laws of EXR files: the numbers of every form come back, and no damaged file ends or prints anything."""

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.formats import exr as module
from labelgrid.formats.codecs import depth
from labelgrid.formats.exr import channels_of, decode
from labelgrid.images import opening
from tests.unit.formats.exr_files import COMPRESSIONS, exr, parts, tiled
from tests.unit.formats.label_files import refused

COVERS = ["labelgrid.formats.exr_worker"]
METRES = np.random.default_rng(0).uniform(0.5, 9, (40, 50)).astype(np.float32)
#: The compressions that keep every bit of a float.
LOSSLESS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ")
#: Reads each named file as depth, and says how it ended.
READ = """
import sys
from pathlib import Path
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codecs import depth
for name in sys.argv[1:]:
    try:
        depth.read(Path(name), depth.Options(channel="Z"))
        print("read", name)
    except LabelError as error:
        print("refused", name)
"""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_in_lines_and_tiles_gives_its_numbers(tmp_path, compression):
    method = getattr(OpenEXR, f"{compression}_COMPRESSION")
    lines = exr(tmp_path / "a.exr", {"Z": METRES}, compression=method)
    for path in (lines, tiled(tmp_path / "b.exr", {"Z": METRES}, compression)):
        label = depth.read(path, depth.Options())
        assert label.valid.all()
        bound = 0 if compression in LOSSLESS else 0.1
        assert np.abs(label.value[..., 0] - METRES).max() <= bound


def test_half_and_float_are_read_and_whole_numbers_are_not(tmp_path):
    half = exr(tmp_path / "a.exr", {"Z": METRES.astype(np.float16)})
    assert np.abs(depth.read(half, depth.Options()).value[..., 0] - METRES).max() < 0.01
    whole = exr(tmp_path / "b.exr", {"Z": METRES.astype(np.uint32)})
    refused(depth.read, whole, depth.Options(channel="Z"), "no channel 'Z' of floating-point")


def test_pixels_outside_the_stored_window_are_not_measured(tmp_path):
    window = (np.array([10, 5], np.int32), np.array([59, 44], np.int32))
    shown = (np.array([0, 0], np.int32), np.array([49, 29], np.int32))
    path = exr(tmp_path / "a.exr", {"Z": METRES}, dataWindow=window, displayWindow=shown)
    label = depth.read(path, depth.Options())
    assert label.size == depth.stored_size(path) == (30, 50)
    assert not label.valid[:5].any()
    assert not label.valid[:, :10].any()
    assert (label.value[5:, 10:, 0] == METRES[:25, :40]).all()


def test_the_channels_of_several_parts_have_their_names_before_them(tmp_path):
    path = parts(tmp_path / "a.exr", {"left": {"Z": METRES}, "right": {"Z": METRES + 1}})
    assert list(channels_of(path.read_bytes())) == ["left.Z", "right.Z"]
    label = depth.read(path, depth.Options(channel="right.Z"))
    assert (label.value[..., 0] == METRES + 1).all()


def test_a_deep_file_is_refused_before_it_is_decoded(tmp_path):
    data = bytearray(exr(tmp_path / "a.exr", {"Z": METRES}).read_bytes())
    data[4:8] = struct.pack("<I", struct.unpack_from("<I", data, 4)[0] | 0x800)
    (tmp_path / "a.exr").write_bytes(data)
    refused(depth.read, tmp_path / "a.exr", depth.Options(), "deep file")


def test_a_giant_size_is_refused_from_the_header(tmp_path, monkeypatch):
    path = exr(tmp_path / "a.exr", {"Z": METRES})
    monkeypatch.setattr(module._DECODER, "decode", None)
    monkeypatch.setenv(opening.LIMIT, "1999")
    refused(depth.read, path, depth.Options(), "40x50 pixels", opening.LIMIT)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    data = exr(tmp_path / "a.exr", {"Z": METRES}).read_bytes()
    for size in [*range(0, 400, 13), *range(400, len(data), 997), len(data) - 1]:
        (tmp_path / "b.exr").write_bytes(data[:size])
        with pytest.raises(LabelError, match=r"b\.exr"):
            depth.read(tmp_path / "b.exr", depth.Options())


def test_500_damaged_files_are_read_or_refused_and_print_nothing(tmp_path):
    draws = random.Random(0)
    sound = [tiled(tmp_path / f"t{name}.exr", {"Z": METRES}, name) for name in COMPRESSIONS]
    for name in COMPRESSIONS:
        method = getattr(OpenEXR, f"{name}_COMPRESSION")
        sound.append(exr(tmp_path / f"l{name}.exr", {"Z": METRES}, compression=method))
    sound.append(parts(tmp_path / "p.exr", {"a": {"Z": METRES}, "b": {"Z": METRES}}))
    names = []
    for number in range(500):
        path = tmp_path / f"{number}.exr"
        path.write_bytes(_damage(draws.choice(sound).read_bytes(), draws))
        names.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", READ, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == names
    assert sum(line.startswith("refused") for line in lines) > 200


def _damage(data: bytes, draws: random.Random) -> bytes:
    if draws.random() < 0.2:
        return data[: draws.randrange(len(data))]
    damaged = bytearray(data)
    end = draws.choice([len(data), 600])
    for _ in range(draws.choice([1, 1, 2, 5, 20])):
        damaged[draws.randrange(min(end, len(data)))] = draws.choice([0, 255, draws.randrange(256)])
    return bytes(damaged)


def test_a_decoder_that_ends_refuses_one_file_and_starts_again(tmp_path, monkeypatch):
    path = exr(tmp_path / "a.exr", {"Z": METRES})
    depth.read(path, depth.Options())
    kill = "import os; os.abort()\n"
    worker = Path(module._WORKER)
    (tmp_path / "worker.py").write_text(kill)
    module._DECODER.end()
    monkeypatch.setattr(module, "_WORKER", tmp_path / "worker.py")
    refused(depth.read, path, depth.Options(), "ends the decoder")
    monkeypatch.setattr(module, "_WORKER", worker)
    assert depth.read(path, depth.Options()).valid.all()


def test_a_forked_process_has_a_decoder_of_its_own(tmp_path):
    path = exr(tmp_path / "a.exr", {"Z": METRES})
    data = path.read_bytes()
    channel = channels_of(data)["Z"]
    decode(data, [channel])
    child = os.fork()
    if child == 0:
        right = bool((decode(data, [channel])[0] == METRES).all())
        module._DECODER.end()
        os._exit(0 if right else 1)
    assert (decode(data, [channel])[0] == METRES).all()
    assert os.waitpid(child, 0)[1] == 0


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = exr(tmp_path / "a.exr", {"Z": METRES})
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    refused(depth.read, path, depth.Options(), "OpenEXR", "pip install 'labelgrid[exr]'")
