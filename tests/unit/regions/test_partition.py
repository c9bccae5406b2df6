"""Laws of partitions: any map of numbers has one, its file says the same, and damaged files are refused."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from labelgrid.basics.errors import LabelError
from labelgrid.formats.arrays import save_array, save_png
from labelgrid.regions.partition import LARGEST, MOST, Partition, read_map, read_partition

#: Numbers, as regions may be: a pixel, not connected, none, the whole image.
MAPS = {
    "one pixel": [[0, 0], [0, 9]],
    "not connected": [[4, 2, 4], [2, 4, 2]],
    "empty": [[0, 0, 0]],
    "the whole image": [[5, 5], [5, 5]],
    "1x1": [[1]],
    "1x500": [list(range(500))],
}
LARGE = """
import sys
from pathlib import Path
import numpy as np
from labelgrid.regions.maker import ImageToDivide, build_maker
from labelgrid.regions.partition import read_partition
name, path = sys.argv[1], Path(sys.argv[2])
pixels = np.zeros((10_000, 10_000, 3), np.uint8)
pixels[:5_000] = 200
image = ImageToDivide(image_id="large.jpg", size=(10_000, 10_000), read=lambda: pixels)
partition = build_maker(name, {}).make(image)
partition.write(path)
digest, count = partition.digest, partition.count
del partition
again = read_partition(path, digest)
assert again.count == count > 10 and len(again.boxes) == count
assert again.mask(1).sum() == again.areas[0]
text = Path("/proc/self/status").read_text()
print(int(text.split("VmHWM:")[1].split()[0]) / 1024)
"""


def straight(numbers: np.ndarray) -> np.ndarray:
    """The regions by a loop over all pixels."""
    seen: dict[int, int] = {0: 0}
    ids = np.zeros(numbers.shape, np.uint16)
    for place, number in np.ndenumerate(numbers):
        ids[place] = seen.setdefault(int(number), len(seen))
    return ids


@given(
    arrays(
        st.sampled_from([np.bool_, np.uint8, np.uint16, np.int32, np.int64]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(0, 1),
    )
    | arrays(np.int64, (5, 7), elements=st.integers(0, 3) | st.integers(0, LARGEST))
)
def test_regions_are_numbered_in_the_order_of_their_first_pixels(numbers):
    partition = Partition.of(numbers)
    np.testing.assert_array_equal(partition.ids, straight(numbers))
    areas = np.bincount(partition.ids.ravel(), minlength=partition.count + 1)[1:]
    np.testing.assert_array_equal(partition.areas, areas)
    assert (partition.areas > 0).all()


def test_blocks_of_pixels_do_not_matter(monkeypatch):
    numbers = np.random.default_rng(0).integers(0, 40, (30, 31))
    whole = Partition.of(numbers)
    monkeypatch.setattr("labelgrid.regions.partition._BLOCK", 17)
    np.testing.assert_array_equal(Partition.of(numbers[:, ::-1]).ids, straight(numbers[:, ::-1]))
    assert Partition.of(numbers).digest == whole.digest
    assert [rows.start for rows in whole.rows()] == list(range(30))


@pytest.mark.parametrize("numbers", MAPS.values(), ids=MAPS)
def test_a_partition_survives_its_file(numbers, tmp_path):
    partition = Partition.of(np.array(numbers))
    path = tmp_path / "a.png"
    partition.write(path)
    again = read_partition(path, partition.digest)
    np.testing.assert_array_equal(again.ids, partition.ids)
    assert again.ids.dtype == np.uint16 and not again.ids.flags.writeable
    for region, box in enumerate(again.boxes, start=1):
        inside = np.zeros(again.size, bool)
        inside[box] = again.ids[box] == region
        np.testing.assert_array_equal(again.mask(region), inside)
    everything = range(1, again.count + 1)
    assert again.share(everything) == pytest.approx(again.areas.sum() / again.ids.size)


def test_a_digest_is_of_regions_and_size():
    digests = {Partition.of(np.array(numbers)).digest for numbers in MAPS.values()}
    digests |= {
        Partition.of(np.array([[1, 1, 1, 1]])).digest,
        Partition.of(np.ones((4, 1), int)).digest,
    }
    assert len(digests) == len(MAPS) + 2
    assert (
        Partition.of(np.array([[7, 3]])).digest == Partition.of(np.array([[1, 2]], np.uint8)).digest
    )


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.array([[0.5]]), "whole numbers"),
        (np.array([[1 + 2j]]), "whole numbers"),
        (np.array([[-1, 2]]), "reach from -1 to 2"),
        (np.array([[LARGEST + 1]]), "may be from 0 to"),
        (np.zeros((2, 2, 3), np.uint8), "map of whole numbers"),
        (np.zeros((0, 2), np.uint8), "map of whole numbers"),
        (np.arange(MOST + 2).reshape(1, -1), "has 65,536 regions"),
    ],
)
def test_other_maps_are_refused(numbers, words):
    with pytest.raises(LabelError, match=words):
        Partition.of(numbers)


def test_as_many_regions_as_16_bits_hold_are_taken():
    assert Partition.of(np.arange(MOST + 1).reshape(1, -1)).count == MOST


@pytest.mark.parametrize("region", [0, -1, 3, 70_000])
def test_a_region_that_is_not_there_is_refused(region):
    partition = Partition.of(np.array([[1, 2]]))
    for ask in (partition.mask, lambda region: partition.share([1, region])):
        with pytest.raises(
            LabelError, match=f"no region {region}: the image's partition has 2 reg"
        ):
            ask(region)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(LabelError, match="1x2 pixels, the image has 2x1"):
        Partition.of(np.array([[1, 2]])).check_size((2, 1))


def foreign(path, numbers):
    save_png(path, numbers)


def truncated(path, numbers):
    save_png(path, numbers)
    path.write_bytes(path.read_bytes()[:-20])


def flipped(path, numbers):
    save_png(path, numbers)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "numbers", "words"),
    [
        (foreign, np.array([[1, 2]], np.uint8), "no file of a partition"),
        (foreign, np.array([[2, 1]], np.uint16), "no file of a partition"),
        (foreign, np.array([[1, 3]], np.uint16), "no file of a partition"),
        (foreign, np.ones((2, 2, 3), np.uint16), "no file of a partition"),
        (foreign, np.array([[1, 1]], np.uint16), "another partition"),
        (truncated, np.array([[1, 2]], np.uint16), "damaged or cut short"),
        (flipped, np.array([[1, 2]], np.uint16), "damaged or cut short"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, damage, numbers, words):
    digest = Partition.of(np.array([[1, 2]])).digest
    damage(tmp_path / "a.png", numbers)
    with pytest.raises(LabelError, match=words):
        read_partition(tmp_path / "a.png", digest)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LabelError, match="cannot be read"):
        read_partition(tmp_path / "a.png")


def written(path: Path, numbers: np.ndarray) -> Path:
    """A map as other programs write it."""
    if path.suffix == ".npy":
        save_array(path, numbers)
    else:
        Image.fromarray(numbers).save(path)
    return path


@pytest.mark.parametrize(
    ("extension", "dtype"),
    [
        (".png", np.uint8),
        (".png", np.uint16),
        (".tif", np.uint16),
        (".tiff", np.int32),
        (".npy", np.int64),
    ],
)
def test_maps_of_other_programs_are_read(tmp_path, extension, dtype):
    numbers = np.array([[0, 9, 9], [200, 0, 9]], dtype)
    path = written(tmp_path / f"a{extension}", numbers)
    assert read_map(path, (2, 3)).ids.tolist() == [[0, 1, 1], [2, 0, 1]]


@pytest.mark.parametrize(
    ("name", "numbers", "words"),
    [
        ("a.png", np.ones((3, 2), np.uint8), "3x2 pixels, the image has 2x3"),
        ("a.tif", np.ones((3, 2), np.uint8), "3x2 pixels, the image has 2x3"),
        ("a.npy", np.ones((3, 2), np.uint8), "3x2 pixels, the image has 2x3"),
        ("a.npy", np.ones((2, 3)), "map of whole numbers; this one is 2x3 float64"),
        ("a.tif", np.ones((2, 3), np.float32), "map of whole numbers; this one is 2x3 float32"),
        ("a.npy", np.full((2, 3), -1), "reach from -1 to -1"),
        ("a.npy", np.full((2, 3), 2**40), "may be from 0 to"),
        ("a.png", np.ones((2, 3, 3), np.uint8), "map of whole numbers"),
        ("a.npy", np.array(["a"]), "cannot be read"),
        ("a.npy", np.ones(6, np.uint8), "map of whole numbers"),
    ],
)
def test_hostile_maps_are_refused(tmp_path, name, numbers, words):
    path = tmp_path / name
    if numbers.dtype.kind == "U":
        np.save(path, numbers)
    else:
        written(path, numbers)
    with pytest.raises(LabelError, match=words) as refused:
        read_map(path, (2, 3))
    assert refused.value.what.startswith("The map of regions cannot be used: ")
    assert refused.value.where == str(path) and refused.value.next_step


def test_too_many_regions_of_a_file_are_refused(tmp_path):
    path = written(tmp_path / "a.npy", np.arange(70_000, dtype=np.int32).reshape(1, -1))
    with pytest.raises(LabelError, match="69,999 regions"):
        read_map(path, (1, 70_000))


@pytest.mark.parametrize("extension", [".png", ".tif", ".npy"])
def test_truncated_maps_are_refused(tmp_path, extension):
    path = written(
        tmp_path / f"a{extension}", np.random.default_rng(0).integers(1, 99, (20, 30), np.uint8)
    )
    content = path.read_bytes()
    for kept in (0, 1, len(content) // 3, len(content) - 7):
        path.write_bytes(content[:kept])
        with pytest.raises(LabelError, match="cannot be used"):
            read_map(path, (20, 30))


def test_a_map_that_claims_to_be_far_larger_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("labelgrid.regions.partition.samples", None)
    buffer = io.BytesIO()
    Image.new("L", (20_000, 9_000)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with pytest.raises(LabelError, match="9000x20000 pixels, the image has 2x3"):
        read_map(tmp_path / "a.png", (2, 3))


@pytest.mark.skipif(sys.platform != "linux", reason="measures peak memory with Linux's /proc")
@pytest.mark.parametrize("name", ["squares", "superpixels"])
def test_100_megapixels_need_less_than_2_gb(tmp_path, name):
    command = [sys.executable, "-c", LARGE, name, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2000
