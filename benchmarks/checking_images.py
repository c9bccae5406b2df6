"""Measures the memory and the time of checking images as `init` does, by format and depth, with one thread and two.

Each figure is of a process that checks one image a thread, all at once; what it had in memory
before is subtracted. The
memory is counted in decoded images: height × width × channels × bytes of a value. The images are
photograph-like with some noise; "noise" is an image that no compression makes smaller.
"""

import argparse
import io
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pillow_heif
from _measure import check_limit, machine, run_isolated
from numpy.typing import NDArray
from PIL import Image

Made = tuple[str, NDArray[np.uint8] | NDArray[np.uint16], Mapping[str, object]]

BAR = 1.0
#: What takes more, because its decoder holds more than the image: reported, without a bar.
REPORTED = ("progressive", "BMP", "TIFF", "WebP", "HEIC", "AVIF")


def check(folder: Path, threads: int) -> None:
    """Check the images below a folder.

    Print the peak in MiB above the memory before, and the processor seconds.
    """
    from labelgrid.basics.progress import Silent
    from labelgrid.project.images.image_files import find_images, rows_of

    small = folder.parent / "small"
    for root in (small, folder):
        with patch.object(os, "cpu_count", lambda: threads):
            before = memory("VmRSS")
            start = time.process_time()
            Path("/proc/self/clear_refs").write_text("5")
            list(rows_of(find_images([root]), "full", "", Silent()))
    print(json.dumps([memory("VmHWM") - before, time.process_time() - start]))


def memory(key: str) -> float:
    """A figure of Linux's account of this process, in MiB."""
    return int(Path("/proc/self/status").read_text().partition(key + ":")[2].split()[0]) / 1024


def pixels_of(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photograph-like image [h, w, 3]."""
    from _made import smooth

    rng = np.random.default_rng(0)
    pixels = smooth(rng, size, 3) * 255
    pixels += rng.normal(0, 4, size)[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def kinds(size: tuple[int, int]) -> dict[str, Made]:
    """Extension, pixels and options of Pillow's writer, by the name of the kind."""
    photo = pixels_of(size)
    noise = np.random.default_rng(0).integers(0, 65536, (*size, 3), np.uint16)
    deep = photo.astype(np.uint16) * 257 + noise // 512
    grey = np.ascontiguousarray(photo[..., 0])
    alpha = np.dstack([photo, photo[..., 0]])
    packed = {"compress_level": 1}
    return {
        "PNG, 8 bits": (".png", photo, packed),
        "PNG, 8 bits, noise": (".png", noise.astype(np.uint8), packed),
        "PNG, 8 bits, alpha": (".png", alpha, packed),
        "PNG, 8 bits, grey": (".png", grey, packed),
        "PNG, 16 bits": (".png", deep, {}),
        "PNG, 16 bits, noise": (".png", noise, {}),
        "PNG, 16 bits, dark but for the last row": (
            ".png",
            np.concatenate([deep[:-1] & 0xFFF, noise[-1:]]),
            {},
        ),
        "PNG, 16 bits, grey": (".png", np.ascontiguousarray(deep[..., 0]), {}),
        "JPEG": (".jpg", photo, {"quality": 92}),
        "JPEG, 4:4:4": (".jpg", photo, {"quality": 98, "subsampling": 0}),
        "JPEG, progressive": (".jpg", photo, {"quality": 92, "progressive": True}),
        "JPEG, progressive, 4:4:4": (
            ".jpg",
            photo,
            {"quality": 98, "subsampling": 0, "progressive": True},
        ),
        "BMP": (".bmp", photo, {}),
        "TIFF": (".tiff", photo, {}),
        "TIFF, LZW": (".tiff", photo, {"compression": "tiff_lzw"}),
        "TIFF, 16 bits": (".tiff", deep, {}),
        "WebP": (".webp", photo, {"quality": 90, "method": 0}),
        "HEIC": (".heic", photo, {"quality": 80}),
        "AVIF": (".avif", photo, {"quality": 80, "speed": 10}),
    }


def encoded(made: Made) -> bytes:
    extension, pixels, options = made
    if pixels.dtype == np.uint16:
        packed = [cv2.IMWRITE_PNG_COMPRESSION, 1] if extension == ".png" else []
        return cv2.imencode(extension, pixels, packed)[1].tobytes()
    buffer = io.BytesIO()
    pillow_heif.register_heif_opener()
    format = Image.registered_extensions()[extension]
    Image.fromarray(pixels).save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def measured(folder: Path, made: Made, threads: int) -> tuple[float, float]:
    """The peak in decoded images for each thread, and the processor seconds, of checking an image for each."""
    data = encoded(made)
    small = encoded((made[0], np.ascontiguousarray(made[1][-64:, -64:]), made[2]))
    for root, content in ((folder / "small", small), (folder / "large", data)):
        root.mkdir(parents=True)
        for number in range(threads):
            (root / f"{number}{made[0]}").write_bytes(content)
    peak, seconds = run_isolated(__file__, "--check", folder / "large", "--threads", threads)
    return peak * 2**20 / made[1].nbytes / threads, seconds


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(4000, 6000), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.check:
        check(options.check, options.threads[0])
        return 0
    print(machine())
    worst = 0.0
    for name, made in kinds(tuple(options.size)).items():
        if options.only not in name:
            continue
        for threads in options.threads:
            with tempfile.TemporaryDirectory() as folder:
                peak, seconds = measured(Path(folder), made, threads)
            print(
                f"  {name:28} {threads} threads: {peak:5.2f} images a thread, {seconds:5.2f} s",
                flush=True,
            )
            worst = worst if any(word in name for word in REPORTED) else max(worst, peak)
    return 0 if check_limit("memory of checking", worst, BAR, "decoded images a thread") else 1


if __name__ == "__main__":
    raise SystemExit(main())
