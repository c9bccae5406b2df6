"""Laws of JPEG files: a lost part is refused, whether a decoder would fail or only warn."""

import io

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import ImageError
from labelgrid.images import jpeg
from labelgrid.images.reading import check_image, read_image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (40, 56, 3), np.uint8)
END = b"\xff\xd9"
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "every colour": {"subsampling": 0},
    "optimised": {"optimize": True},
    "grey": {},
}


def encoded(kind):
    buffer = io.BytesIO()
    pixels = PIXELS[..., 0] if kind == "grey" else PIXELS
    Image.fromarray(pixels).save(buffer, "JPEG", **KINDS[kind])
    return buffer.getvalue()


def written(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    return path


def cut(data, share):
    """The file without the last part of its coded data."""
    start = data.index(b"\xff\xda")
    return data[: start + int((len(data) - start) * share)].rstrip(b"\xff")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_file_has_the_same_pixels_whatever_follows_its_coded_data(tmp_path, kind):
    data = encoded(kind)
    parts = jpeg.parts_of(data)
    assert parts.progressive == (kind == "progressive")
    changed = parts.changed.read()
    assert changed != data
    same = [np.asarray(Image.open(io.BytesIO(content))) for content in (data, changed)]
    assert (same[0] == same[1]).all()
    for behind in (b"", b"what a camera adds", data):
        check_image(written(tmp_path, data + behind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.97])
def test_a_cut_file_with_a_new_end_is_refused(tmp_path, kind, share):
    path = written(tmp_path, cut(encoded(kind), share) + END)
    with pytest.raises(ImageError, match=r"missing|lost"):
        check_image(path)


def test_a_cut_first_picture_is_refused_though_a_second_has_an_end(tmp_path):
    path = written(tmp_path, cut(encoded("baseline"), 0.6) + encoded("baseline"))
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match="cut short"):
            read(path)


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_restart_interval_is_refused(tmp_path, lost):
    data = encoded("restarts")
    start = data.index(b"\xff\xda")
    marks = [
        at for at in range(start, len(data) - 2) if data[at] == 0xFF and 0xD0 <= data[at + 1] < 0xD8
    ]
    after = [*marks[1:], len(data) - 2]
    path = written(tmp_path, data[: marks[lost]] + data[after[lost] :])
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match="lost"):
            read(path)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\0\4\1\2", b"\xff\xd8\xff\xda\0\0"]
)
def test_a_file_without_an_end_is_refused(data):
    with pytest.raises(ValueError, match="end is missing"):
        jpeg.check_parts(data)


def test_bytes_that_fill_the_space_before_markers_are_allowed(tmp_path):
    data = encoded("restarts")
    start = data.index(b"\xff\xda") + 14
    filled = data[:start] + data[start:].replace(b"\xff\xd0", b"\xff\xff\xd0")
    filled = filled[:-2] + b"\xff" + END
    assert len(filled) > len(data) + 1
    check_image(written(tmp_path, filled))
