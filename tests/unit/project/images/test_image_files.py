"""Laws of checking images: no thread has more in memory than its image."""

import io
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

PEAK = """
import sys
from pathlib import Path
from labelgrid.basics.progress import Silent
from labelgrid.project.images import image_files
status = lambda key: int(Path("/proc/self/status").read_text().partition(key + ":")[2].split()[0]) / 1024
image_files.os.cpu_count = lambda: int(sys.argv[2])
for name in ("small", "large"):
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    list(image_files.rows_of(image_files.find_images([Path(sys.argv[1], name)]), "full", "", Silent()))
print(status("VmHWM") - before)
"""


def noise(dtype: type, channels: int = 3) -> np.ndarray:
    """What no compression makes smaller."""
    return np.random.default_rng(0).integers(
        0, np.iinfo(dtype).max + 1, (1600, 2500, channels), dtype
    )


def dark_above(pixels: np.ndarray) -> np.ndarray:
    """The same, with only one bright row, far below: all pixels are needed to see that it is not too dark."""
    return np.concatenate([pixels[:-1] & 0xFFF, pixels[-1:]])


FILES = {
    "8 bits": (".png", lambda: noise(np.uint8), {}),
    "8 bits, grey and alpha": (".png", lambda: noise(np.uint8, 2), {}),
    "16 bits": (".png", lambda: noise(np.uint16), {}),
    "16 bits, dark above": (".png", lambda: dark_above(noise(np.uint16)), {}),
    "JPEG": (".jpg", lambda: noise(np.uint8), {"quality": 95, "subsampling": 0}),
}


@cache
def encoded(kind: str) -> tuple[int, bytes, bytes]:
    """The bytes of the pixels, a file of the last eight rows and columns of them, and a file of all."""
    extension, make, options = FILES[kind]
    large = make()
    files = []
    for pixels in (np.ascontiguousarray(large[-8:, -8:]), large):
        if pixels.dtype == np.uint16:
            file = cv2.imencode(extension, pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        else:
            buffer = io.BytesIO()
            format_name = {".png": "PNG", ".jpg": "JPEG"}[extension]
            Image.fromarray(pixels).save(buffer, format_name, **{"compress_level": 1, **options})
            file = buffer.getvalue()
        files.append(file)
    return large.nbytes, *files


@pytest.mark.skipif(sys.platform != "linux", reason="measures peak memory with Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", FILES)
def test_checking_images_takes_no_more_memory_than_an_image_a_thread(
    tmp_path: Path, kind: str, threads: int
) -> None:
    size, *files = encoded(kind)
    for folder, file in zip(("small", "large"), files, strict=True):
        (tmp_path / folder).mkdir()
        for number in range(threads):
            (tmp_path / folder / f"{number}{FILES[kind][0]}").write_bytes(file)
    words = [sys.executable, "-c", PEAK, str(tmp_path), str(threads)]
    peak = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert peak <= threads * size / 2**20
