"""A folder is packed while it is sent; nothing outside it is."""

import io
import os
from zipfile import ZipFile

from labelgrid.web.zip_stream import packed


def test_a_folder_becomes_a_zip_file_of_its_regular_files(tmp_path):
    folder = tmp_path / "request"
    (folder / "images/räum").mkdir(parents=True)
    large = os.urandom(3 * 2**20 + 5)
    (folder / "images/räum/b.png").write_bytes(large)
    (folder / "manifest.json").write_text("{}")
    os.utime(folder / "manifest.json", (0, 0))  # before the first year of zip files
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "outside").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    parts = list(packed(folder))
    assert max(map(len, parts)) < 2 * 2**20
    with ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["images/räum/b.png", "manifest.json"]
        assert archive.read("images/räum/b.png") == large


def test_an_empty_folder_is_an_empty_zip_file(tmp_path):
    with ZipFile(io.BytesIO(b"".join(packed(tmp_path)))) as archive:
        assert archive.namelist() == []
