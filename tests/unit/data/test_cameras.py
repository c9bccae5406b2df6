"""Laws of `camera.toml`: what it says of which image, and what is refused."""

import math
import os
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import RecipeError
from labelgrid.data.cameras import Cameras, read_cameras

SIZE = (480, 640)


def written(folder: Path, text: str, table: str = "") -> Cameras:
    """The cameras of a folder with this file, and this table in `cameras.csv`."""
    (folder / "camera.toml").write_text(text)
    if table:
        (folder / "cameras.csv").write_text(table)
    cameras = read_cameras(folder)
    assert cameras is not None
    return cameras


def camera(cameras: Cameras, image_id: str = "a.jpg", size: tuple[int, int] = SIZE) -> Camera:
    found = cameras.camera(image_id, size, Path("not read"))
    assert found is not None
    return found


def photograph(path: Path, focal: object, orientation: int = 1) -> Path:
    """A photograph with this focal length on film in its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = focal
    pillow_heif.register_heif_opener()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path, exif=exif)
    return path


def test_without_a_file_all_cameras_are_unknown(tmp_path: Path) -> None:
    assert read_cameras(tmp_path) is None


def test_a_field_of_view_is_that_of_images_of_any_size(tmp_path: Path) -> None:
    cameras = written(tmp_path, "field_of_view = 66")
    assert camera(cameras) == Camera.of_view(66.0, SIZE)
    assert camera(cameras, size=(640, 480)) == Camera.of_view(66.0, (640, 480))


def test_focal_lengths_in_pixels_are_scaled_to_images_of_the_same_shape(tmp_path: Path) -> None:
    cameras = written(tmp_path, "fx = 500\nfy = 510\ncx = 320.5\ncy = 240\nsize = [480, 640]")
    assert camera(cameras) == Camera(500, 510, 320.5, 240)
    half = camera(cameras, size=(240, 320))
    assert half == Camera(250, 255, 160, 119.75)  # (320.5 + .5) / 2 - .5


def test_the_camera_of_an_image_of_another_shape_is_unknown(tmp_path: Path) -> None:
    cameras = written(tmp_path, "fx = 500\nsize = [480, 640]")
    assert cameras.camera("a.jpg", (640, 480), Path()) is None


def test_pixels_are_square_and_the_axis_is_in_the_middle_if_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    cameras = written(tmp_path, "fx = 500\nsize = [480, 640]")
    assert camera(cameras) == Camera(500, 500, 319.5, 239.5)


def test_the_longest_folder_counts_and_then_all_images(tmp_path: Path) -> None:
    cameras = written(
        tmp_path,
        'field_of_view = 66\n["kitchen/"]\nfield_of_view = 58\n'
        '["kitchen/left/"]\nfx = 10\nsize = [48, 64]',
    )
    assert camera(cameras, "kitchen/1.jpg") == Camera.of_view(58, SIZE)
    assert camera(cameras, "kitchen/left/1.jpg").fx == 100
    for other in ("kitchen.jpg", "hall/kitchen/1.jpg", "kitchens/1.jpg"):
        assert camera(cameras, other) == Camera.of_view(66, SIZE)


def test_images_outside_the_folders_are_unknown_if_nothing_is_said_of_all(tmp_path: Path) -> None:
    cameras = written(tmp_path, '["kitchen/"]\nfield_of_view = 58')
    assert cameras.camera("hall/1.jpg", SIZE, Path()) is None


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_line_of_the_table_overrules_folders_and_is_in_the_images_own_pixels(
    tmp_path: Path, separator: str
) -> None:
    table = "image,fx,fy,cx,cy,field_of_view\nk/1.jpg,500,510,320,,\n\nk/2.jpg,,,,,70\n"
    cameras = written(
        tmp_path,
        'table = "cameras.csv"\n["k/"]\nfield_of_view = 58',
        "\ufeff" + table.replace(",", separator).replace("\n", "\r\n"),
    )
    assert camera(cameras, "k/1.jpg", (30, 40)) == Camera(500, 510, 320, 14.5)
    assert camera(cameras, "k/2.jpg") == Camera.of_view(70, SIZE)
    assert camera(cameras, "k/3.jpg") == Camera.of_view(58, SIZE)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "heic"])
def test_a_photograph_has_the_diagonal_view_of_its_focal_length_on_film(
    tmp_path: Path, orientation: int, extension: str
) -> None:
    cameras = written(tmp_path, 'exif = true\n["k/"]\nfield_of_view = 58')
    path = photograph(tmp_path / f"a.{extension}", 28, orientation)
    size = (30, 40) if orientation == 1 else (40, 30)
    found = cameras.camera("a.jpg", size, path)
    assert found is not None and (found.cx, found.cy) == ((size[1] - 1) / 2, (size[0] - 1) / 2)
    # Half the diagonal of 50 pixels is seen as half that of 24 mm by 36 mm at 28 mm.
    assert 25 / found.fx == pytest.approx(math.sqrt(12**2 + 18**2) / 28) and found.fx == found.fy
    assert cameras.camera("k/a.jpg", size, path) == Camera.of_view(58, size)


@pytest.mark.parametrize("focal", [0, b"28", (28, 28)])
def test_a_photograph_whose_exif_data_hold_no_focal_length_is_unknown(
    tmp_path: Path, focal: object
) -> None:
    cameras = written(tmp_path, "exif = true")
    assert cameras.camera("a", SIZE, photograph(tmp_path / "a.jpg", focal)) is None
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "a.png")
    assert cameras.camera("a", SIZE, tmp_path / "a.png") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("field_of_view = 180.0", "between 0 and 180 degrees; it is 180"),
        ("field_of_view = 0", "between 0 and 180"),
        ("field_of_view = 1e-300", "between 0 and 180"),
        ("field_of_view = nan", "finite"),
        ("field_of_view = true", "number"),
        ("fov = 66.0", "fov: unknown key"),
        ("66", "TOML"),
        ("fx = 0\nsize = [4, 6]", "fx is in pixels, above 0; it is 0"),
        ("fx = 1e300\nsize = [4, 6]", "fx is in pixels"),
        ("fx = 5\nfy = -1\nsize = [4, 6]", "fy is in pixels, above 0; it is -1"),
        ("fx = 5\ncx = inf\nsize = [4, 6]", "finite"),
        ("fx = 5\ncx = 1e300\nsize = [4, 6]", "cx is in pixels"),
        ("fx = 5\nsize = [0, 6]", "size is in pixels, above 0"),
        ("fx = 5\nsize = [6]", "size"),
        ("fx = 5", "size of the images .* is missing"),
        ("fy = 5", "fy needs fx"),
        ("size = [4, 6]", "size needs fx"),
        ("field_of_view = 66\nfx = 5", "fx has no effect beside field_of_view"),
        ("exif = true\nfield_of_view = 66", "exif has no effect"),
        ('["kitchen"]\nfield_of_view = 66', "with a slash at its end"),
        ('["../kitchen/"]\nfield_of_view = 66', "not of a folder of images"),
        ('["/kitchen/"]\nfield_of_view = 66', "not of a folder of images"),
        ('["kitchen/"]', "'kitchen/'.*\n.*field_of_view"),
        ('["kitchen/"]\nfx = 5', "size of the images"),
        ('["kitchen/"]\nexif = true', "exif: unknown key"),
        ('table = "none.csv"', r"No such file.*none\.csv"),
        ('table = "."', "Is a directory"),
        ('table = "../cameras.csv"', "leads out of the folder"),
        ('table = "/etc/passwd"', "leads out of the folder"),
        ('table = "link.csv"', "leads out of the folder"),
        ('table = "a\\u0000b"', "leads out of the folder"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "link.csv").symlink_to("/etc/passwd")
    with pytest.raises(RecipeError, match=fault) as error:
        written(tmp_path, text)
    assert str(tmp_path) in str(error.value) and error.value.next_step


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("image,fov\na.jpg,60", "columns are image, fov"),
        ("field_of_view\n60", "columns are field_of_view"),
        (" ", "columns"),
        ("image,field_of_view\na.jpg,60\na.jpg,61", "'a.jpg' is given twice.*line 3"),
        ("image,field_of_view\na.jpg,wide", "'wide', which is not a number.*line 2"),
        ("image,field_of_view\na.jpg,nan", "finite.*line 2"),
        ("image,field_of_view\na.jpg,180", "between 0 and 180.*line 2"),
        ("image,field_of_view\na.jpg,", "needs its field_of_view, or fx.*line 2"),
        ("image,field_of_view\na.jpg,60,7", "line 2 has more values"),
        ("image,fx,fy\na.jpg,,60", "fy needs fx.*line 2"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, table: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault) as error:
        written(tmp_path, 'table = "cameras.csv"', table)
    assert "cameras.csv" in str(error.value) and error.value.next_step


@pytest.mark.parametrize("content", [b"image\n\xff", b"image,fx\n%s,5" % bytes(200_000)])
def test_a_table_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cameras.csv").write_bytes(content)
    with pytest.raises(RecipeError, match="cannot be read"):
        written(tmp_path, 'table = "cameras.csv"')


def test_a_table_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cameras.csv")
    with pytest.raises(RecipeError, match="pipe"):
        written(tmp_path, 'table = "cameras.csv"')
