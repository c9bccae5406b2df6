"""Unusable images are refused with a clear error and nothing is created.

Unusual ones are read correctly.
"""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from tests.e2e.commands import done, manifest, refused, status

PIXELS = np.random.default_rng(0).integers(30, 255, (20, 30, 3), dtype=np.uint8)


def encoded(kind: str, pixels: np.ndarray = PIXELS, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def sixteen_bits(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def write(folder: Path, **files: bytes) -> Path:
    """A folder of images; `__` in a name is a slash, `_` the dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


BAD = {
    "cut short": (
        encoded("jpeg")[:300],
        "The image is damaged, cut short or not an image: Truncated File Read. "
        "Copy it again or take it out of the folder.",
    ),
    "empty": (b"", "The image file is empty: 0 bytes. Copy it again."),
    "a text": (
        b"hello",
        "The image is damaged, cut short or not an image: its kind is unknown. "
        "Copy it again or take it out of the folder.",
    ),
    "for print": (
        encoded("jpeg", mode="CMYK"),
        "The image is CMYK (for print). Its colours depend on a printer's profile. "
        "Convert it to RGB in an image editor.",
    ),
    "16 bits, hardly used": (
        sixteen_bits(PIXELS.astype(np.uint16)),
        f"The image has 16 bits, but its largest value is {PIXELS.max()} of 65535: it would become almost black. "
        "Convert it to 8 bits with its real range.",
    ),
}


@pytest.mark.parametrize(("content", "fault"), BAD.values(), ids=BAD)
def test_one_image_that_cannot_be_used_stops_init_and_add(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    name = "b.png" if content.startswith(b"\x89PNG") else "b.jpg"
    bad = write(tmp_path / "photos", a_png=encoded("png"), **{name: content})
    message = f"1 of 2 images cannot be used:\n    {name}: {fault}\n  Fix or remove them, or leave them out with --leave-out. "
    found = refused(tmp_path, "init", tmp_path / "flat", "--images", bad, "--task", "depth")
    assert found == f"{message}Nothing was made."
    done(
        "init",
        tmp_path / "flat",
        "--images",
        write(tmp_path / "good", c_png=encoded("png")),
        "--task",
        "depth",
    )
    found = refused(tmp_path, "add", tmp_path / "flat", "--images", bad, "--task", "normals")
    assert found == f"{message}Nothing was added."


TURNED = Image.Exif()
TURNED[0x0112] = 6  # rotate by 90 degrees to the right
ODD = {
    "16-bit colour": (sixteen_bits(PIXELS[..., ::-1].astype(np.uint16) * 257), PIXELS),
    "16-bit grey": (sixteen_bits(PIXELS[..., 0].astype(np.uint16) * 257), PIXELS[..., [0, 0, 0]]),
    "8-bit grey": (encoded("png", PIXELS[..., 1]), None),
    "grey": (
        encoded("png", PIXELS, "L"),
        np.asarray(Image.fromarray(PIXELS).convert("L"))[..., None].repeat(3, 2),
    ),
    "palette": (encoded("png", PIXELS // 128 * 128, "P"), None),
    "transparent": (encoded("png", np.dstack([PIXELS, PIXELS[..., 0]]), "RGBA"), PIXELS),
    "turned": (encoded("png", exif=TURNED), np.rot90(PIXELS, -1)),
}


@pytest.mark.parametrize(("content", "pixels"), ODD.values(), ids=ODD)
def test_odd_images_are_read_as_a_viewer_shows_them(
    tmp_path: Path, content: bytes, pixels: np.ndarray | None
) -> None:
    photos = write(tmp_path / "photos", a_png=content)
    done("init", tmp_path / "flat", "--images", photos, "--task", "depth")
    if pixels is None:
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    with ProjectFolder.open(tmp_path / "flat") as project:
        row = project.store.image("a.png")
        assert (row.height, row.width) == pixels.shape[:2]
        np.testing.assert_array_equal(source_of(project).image("a.png"), pixels)


def test_a_turned_photograph_is_learnt_from_and_labelled_upright(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", a_jpg=encoded("jpeg", exif=TURNED, quality=100))
    flat, labels = tmp_path / "flat", tmp_path / "labels"
    done("init", flat, "--images", photos, "--task", "depth")
    lying = np.full((20, 30), 1000, np.uint16)
    write(labels, depth__a_png=sixteen_bits(lying))
    assert refused(tmp_path, "import", flat, labels) == (
        f"The import has 1 fault ({labels}).\n"
        "  depth/a.png [a.jpg, depth]: The label is 20x30, its image is 30x20 (height x width). "
        "Make it upright: its photograph declares EXIF orientation 6, and the label may lie in the stored "
        "orientation.\n"
        "  Fix it and run the same command again. Nothing was imported."
    )
    write(labels, depth__a_png=sixteen_bits(lying.T.copy()))
    done("import", flat, labels)
    with ProjectFolder.open(flat) as project:
        seen = source_of(project).image("a.jpg")
    upright = np.asarray(ImageOps.exif_transpose(Image.open(photos / "a.jpg")))
    assert (
        seen.shape == upright.shape == (30, 20, 3) and np.abs(seen.astype(int) - upright).max() < 8
    )


def test_images_of_one_name_in_two_folders_are_two_images_below_one_root(tmp_path: Path) -> None:
    photos = write(
        tmp_path / "photos", a__1_png=encoded("png"), b__1_png=encoded("png", PIXELS[::-1])
    )
    flat = tmp_path / "flat"
    done("init", flat, "--images", photos, "--task", "depth")
    done("query", flat, "--budget", 2)
    done("export", flat)
    rows = manifest(flat / "rounds" / "0001" / "request")
    assert {row["image"] for row in rows} == {"a/1.png", "b/1.png"}
    assert len({row["path"] for row in rows}) == 2
    write(tmp_path / "labels", depth__b__1_png=sixteen_bits(np.full((20, 30), 1000, np.uint16)))
    done("import", flat, tmp_path / "labels")
    assert status(flat)["tasks"]["depth"]["labelled"] == 1


def test_images_of_one_name_below_two_roots_are_refused(tmp_path: Path) -> None:
    photos = write(
        tmp_path / "photos", a__1_png=encoded("png"), b__1_png=encoded("png", PIXELS[::-1])
    )
    one, other, flat = photos / "a", photos / "b", tmp_path / "flat"
    assert refused(
        tmp_path, "init", flat, "--images", one, "--images", other, "--task", "depth"
    ) == (
        f"Two images have the id '1.png': one below {one}, one below {other}.\n"
        "  Give the folder above both, so that their paths differ. Nothing was made."
    )
    done("init", flat, "--images", one, "--task", "depth")
    assert refused(tmp_path, "add", flat, "--images", other) == (
        f"Two images have the id '1.png': one in {one}, one in {other}.\n"
        "  Rename one of them, or give the folder above both. Nothing was added."
    )


def empty(folder: Path) -> None:
    folder.mkdir()


def of_texts(folder: Path) -> None:
    write(folder, notes_txt=b"hello")


def one_text(place: Path) -> None:
    place.write_text("a.jpg\nb.txt\n")


def absent(place: Path) -> None:
    pass


NONE = (
    "Images are files that end in .avif, .bmp, .heic, .heif, .jpeg, .jpg, .png, .tif, .tiff, .webp."
)


@pytest.mark.parametrize(
    ("make", "what", "next_step"),
    [
        (absent, "There is no such folder of images, and no such list", "Check the path. "),
        (empty, "The folder holds no images", f"{NONE} "),
        (of_texts, "The folder holds no images, but 1 .txt", f"{NONE} "),
        (one_text, "Line 2, 'b.txt', does not have the extension of an image", ""),
    ],
)
def test_a_place_without_images_is_refused(
    tmp_path: Path, make: Callable[[Path], None], what: str, next_step: str
) -> None:
    place = tmp_path / "photos"
    make(place)
    found = refused(tmp_path, "init", tmp_path / "flat", "--images", place, "--task", "depth")
    assert found == f"{what} ({place}).\n  {next_step}Nothing was made."
