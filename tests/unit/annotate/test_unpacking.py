"""A zip file is unpacked for the time of an import, if a labelling tool could have made it."""

import stat
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from labelgrid.annotate import unpacking
from labelgrid.annotate.unpacking import inner_folder, unpacked
from labelgrid.basics.errors import LabelError


def packed(path: Path, **members: bytes) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_is_a_folder_for_a_while(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", **{"labels/ä b.png": b"1", "list.txt": b"2"})
    with unpacked(path) as folder:
        assert (folder / "labels/ä b.png").read_bytes() == b"1"
        assert (folder / "list.txt").read_bytes() == b"2"
    assert not folder.exists()


def test_a_folder_of_zips_alone_is_a_folder_of_folders_for_a_while(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        packed(tmp_path / name, **{"labels/c.png": name.encode()})
    (tmp_path / ".hidden").touch()
    with unpacked(tmp_path) as folder:
        for name in ("a.zip", "b.zip"):
            assert (folder / name / "labels/c.png").read_bytes() == name.encode()
    assert not folder.exists()
    (tmp_path / "c.png").touch()
    with unpacked(tmp_path) as same:
        assert same == tmp_path


def test_other_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.zip", tmp_path / "a.json"):
        with unpacked(path) as same:
            assert same == path


@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/a.png", "a\\b.png", "C:/a.png"]
)
def test_a_name_that_leads_out_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr(ZipInfo(name), b"1")
    with pytest.raises(LabelError, match="leads out of a folder"), unpacked(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_links_doubles_and_passwords_are_refused(tmp_path: Path) -> None:
    link = ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(LabelError, match="is a link"), unpacked(tmp_path / "link.zip"):
        pass
    with ZipFile(tmp_path / "twice.zip", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    with pytest.raises(LabelError, match="twice"), unpacked(tmp_path / "twice.zip"):
        pass
    data = bytearray(packed(tmp_path / "locked.zip", a=b"1").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(LabelError, match="encrypted"), unpacked(tmp_path / "locked.zip"):
        pass


def test_a_bomb_is_stopped_when_it_has_unpacked_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "BYTES", 1000)
    path = packed(tmp_path / "bomb.zip", a=bytes(10_000_000))
    with pytest.raises(LabelError, match="far more than any answer"), unpacked(path):
        pass


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", a=b"abcdefgh" * 100)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:40], whole[:-30], whole.replace(whole[40:44], b"\0\0\0\0")):
        path.write_bytes(content)
        with pytest.raises(LabelError, match="cannot be unpacked"), unpacked(path):
            pass


@pytest.mark.parametrize(
    ("name", "said"), [("x/" * 400 + "a.png", "200 folders"), (".", "no name"), ("./", "")]
)
def test_a_name_of_no_file_or_below_too_many_folders_is_refused(
    name: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr(ZipInfo(name), b"1")
    if not said:  # a folder
        with unpacked(path) as folder:
            assert not list(folder.iterdir())
        return
    with pytest.raises(LabelError, match=said), unpacked(path):
        pass


@pytest.mark.parametrize("name", [b"\x8b.png", b""])
def test_a_name_that_is_empty_or_no_text_is_refused(name: bytes, tmp_path: Path) -> None:
    data = packed(tmp_path / "a.zip", abcdé=b"1").read_bytes()
    old = "abcdé".encode()
    new = name.ljust(len(old), b"x")
    if not name:
        at = data.index(b"PK\1\2")
        data = data[: at + 28] + b"\0\0" + data[at + 30 :]
        end = data.rindex(b"PK\5\6")
        data = data[: at + 46] + data[at + 46 + len(old) :]
        size = int.from_bytes(data[end - len(old) + 12 : end - len(old) + 16], "little") - len(old)
        place = end - len(old) + 12
        data = data[:place] + size.to_bytes(4, "little") + data[place + 4 :]
    (tmp_path / "a.zip").write_bytes(data.replace(old, new))
    with pytest.raises(LabelError, match="cannot be unpacked"), unpacked(tmp_path / "a.zip"):
        pass


@pytest.mark.parametrize("beside", [(), (".DS_Store",), ("__MACOSX/._sensor", ".hidden/x")])
def test_a_folder_in_which_nothing_else_is_visible_is_an_outer_one(
    tmp_path: Path, beside: tuple[str, ...]
) -> None:
    (tmp_path / "sensor").mkdir()
    for name in beside:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert inner_folder(tmp_path) == tmp_path / "sensor"


def test_other_folders_are_none(tmp_path: Path) -> None:
    for name in ("empty", "two/a", "two/b", "file"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file/a.png").touch()
    (tmp_path / "link").mkdir()
    (tmp_path / "link/away").symlink_to(tmp_path / "two")
    for name in ("empty", "two", "file", "link", "missing", "file/a.png"):
        assert inner_folder(tmp_path / name) is None, name
