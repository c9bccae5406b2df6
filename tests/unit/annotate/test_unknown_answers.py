"""Laws of refusing what no labelling tool recognises: it is said what it is and what is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.unknown_answers import refuse_unknown
from labelgrid.basics.errors import LabelError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions
from tests.support import task_rows


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ProjectIndex]:
    with Store.create(tmp_path / "ledger.db") as store:
        for row in task_rows(["depth"]):
            store.add_task(row)
        store.add_images([ImageRow(image_id="a.jpg", root="photos")])
        store.move(
            [Move(cell=Cell("a.jpg", "depth"), to=State.REQUESTED, round=1, request_id="r1-aa")]
        )
        yield ProjectIndex(store, definitions(store.tasks()))


@pytest.mark.parametrize(
    ("name", "content", "kind", "advice"),
    [
        ("a.jpg", b"\xff\xd8\xff\xe0", "It is a picture (JPEG)", "as TASK/IMAGE.png"),
        ("a.pdf", b"%PDF-1.7", "It is a file of the kind PDF", "Known are coco, cvat"),
        ("a.rar", b"Rar!\x1a", "It is a RAR archive", "Unpack it"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "It is a 7z archive", "Unpack it"),
        ("a.tar.gz", b"\x1f\x8b\x08", "It is a gzip archive", "Unpack it"),
        ("a.tar", b"\0" * 257 + b"ustar", "It is a tar archive", "Unpack it"),
        ("a.answers", b"PK\x03\x04", "It is a zip file by another name", "Rename it"),
        ("a.json", b'{"x": 1, "y": []}', "It is a JSON file with the keys 'x', 'y',", "Known are"),
        ("a.json", b'[{"x": 1}]', "a list, whose entries have the keys 'x',", "Known are"),
        ("a.json", b"{", "It is a damaged JSON file (Expecting", "Known are"),
        ("a.json", b"[" * 10**5, "It is a damaged JSON file (", "Known are"),
        ("a.json", b"3", "It is a JSON file, and", "Known are"),
        ("a.xml", b"<?xml version='1'?><tool>", "an XML file that begins with <tool>", "Known are"),
        ("a.csv", b"x,y", "It is a file that ends in '.csv'", "Known are"),
        ("a", b"", "It is an empty file", "(depth)"),
    ],
)
def test_a_file_that_is_no_answer_is_called_by_its_name(
    index: ProjectIndex, tmp_path: Path, name: str, content: bytes, kind: str, advice: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LabelError) as refused:
        refuse_unknown(path, path, ["coco", "cvat", "folder"], index)
    assert kind in refused.value.what
    assert advice in refused.value.next_step
    assert refused.value.where == str(path)


def test_a_path_of_nothing_says_so(index: ProjectIndex, tmp_path: Path) -> None:
    path = tmp_path / "nothing.zip"
    with pytest.raises(LabelError, match=r"no such file or folder \(.*nothing\.zip\)"):
        refuse_unknown(path, path, ["folder"], index)


def test_a_zip_of_an_unknown_kind_says_what_it_holds(index: ProjectIndex, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    for name in ("data/one.xml", "data/two.XML", "photos/1.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with pytest.raises(LabelError) as refused:
        refuse_unknown(folder, tmp_path / "x.zip", ["coco", "folder"], index)
    assert str(refused.value) == (
        "No labelling tool that is known packs such a zip file: it holds 1 .jpg, 2 .xml, the first "
        f"'data/one.xml' ({tmp_path / 'x.zip'}).\n"
        "  Known are coco, see `labelgrid list tools`; if it is of one of them, name that: "
        "`--format coco`. Labels of your own are a folder or zip of TASK/IMAGE.png (depth). Nothing "
        "was imported."
    )


@pytest.mark.parametrize("name", ["depth/a.png", "labels/depth/b.png", "dept/a.png", "x/r1-aa.png"])
def test_a_zip_of_labels_and_any_folder_are_let_through(
    index: ProjectIndex, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "unpacked"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    refuse_unknown(folder, tmp_path / "x.zip", ["folder"], index)
    other = tmp_path / "other"
    other.mkdir()
    refuse_unknown(other, other, ["folder"], index)
