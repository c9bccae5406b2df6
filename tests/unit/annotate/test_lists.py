"""Laws of the times and annotators in the lists of an answered folder."""

import json
import os
from pathlib import Path

import pytest

from labelgrid.annotate.lists import read_lists
from labelgrid.ledger.grid import MOST_SECONDS, Cell

A, B = Cell("a.jpg", "depth"), Cell("b.jpg", "depth")
COLUMNS = "request_id,image,task,path,seconds\n"


def manifest(*seconds: object) -> str:
    """A manifest of depth labels of a.jpg, b.jpg, …, with these times."""
    rows = [
        {
            "request_id": f"r1-{name}",
            "image": f"{name}.jpg",
            "task": "depth",
            "path": f"{name}.png",
            "seconds": value,
        }
        for name, value in zip("abc", seconds, strict=False)
    ]
    return json.dumps(rows)


def read(folder: Path, **texts: str) -> tuple[dict[Cell, float], list[str]]:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    found = read_lists(folder)
    return {cell: value for cell, (value, _) in found.seconds.items()}, list(map(str, found.faults))


def test_times_are_read_from_each_list_and_empty_ones_are_unknown(tmp_path: Path) -> None:
    table = COLUMNS + "r1-a,a.jpg,depth,a.png, 31.5 \nr1-b,b.jpg,depth,b.png,\n"
    assert read(tmp_path, manifest_csv=table) == ({A: 31.5}, [])
    assert read(tmp_path, manifest_json=manifest(None, 7)) == ({A: 31.5, B: 7.0}, [])
    assert read(
        tmp_path, labels_csv="image,task,path,seconds\nc.jpg,depth,c.png,1e3\nb.jpg,depth,b.png,7\n"
    ) == (
        {A: 31.5, B: 7.0, Cell("c.jpg", "depth"): 1000.0},
        [],
    )


def test_a_table_without_times_is_not_read(tmp_path: Path) -> None:
    assert read(tmp_path, manifest_csv="request_id;image;path\nr1-a;a.jpg;a.png\n") == ({}, [])
    found, (fault,) = read(
        tmp_path, manifest_csv="request_id\timage\ttask\tseconds\nr1-a\ta.jpg\tdepth\t3\n"
    )
    assert not found and fault.startswith(
        "manifest.csv: The first line has no column 'image'. Make it image,task."
    )


def test_tables_with_semicolons_as_some_spreadsheets_write_them_are_read(tmp_path: Path) -> None:
    table = (COLUMNS + "r1-a,a.jpg,depth,a.png,31.5\n").replace(",", ";").replace("\n", "\r\n")
    assert read(tmp_path, manifest_csv="\ufeff" + table) == ({A: 31.5}, [])
    found, (fault,) = read(tmp_path, manifest_csv=table.replace("31.5", "31,5"))
    assert not found and "[a.jpg, depth]: The label's time is '31,5'; it must be a number" in fault


def test_times_in_another_encoding_are_read_or_refused_and_not_lost(tmp_path: Path) -> None:
    text = COLUMNS + "r1-a,a.jpg,depth,a.png,31.5\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-16")
    assert read(tmp_path) == ({A: 31.5}, [])
    (tmp_path / "manifest.csv").write_text(text + "r2-a,ü.jpg,depth,b.png,3\n", encoding="cp1252")
    found, (fault,) = read(tmp_path)
    assert not found and "iconv -f cp1252 -t utf-8" in fault


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.csv")  # opening it would wait for a writer
    assert read(tmp_path) == ({}, [])


def test_a_list_too_large_or_without_line_ends_is_refused_without_reading_it(
    tmp_path: Path,
) -> None:
    for name, size in (("manifest.json", 2**42), ("labels.csv", 2**33)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # holes, of which nothing is on the disk
    faults = [fault.what for fault in read_lists(tmp_path).faults]
    assert faults == [
        "The file is not a request's manifest.",
        "The file cannot be read: its line 1 has more than 1,048,576 characters; shorten it.",
    ]


def test_a_later_line_without_an_end_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,task,path\na.jpg,depth,a.png\n")
    with path.open("r+b") as file:
        file.truncate(2**33)  # holes, of which nothing is on the disk
    (fault,) = map(str, read_lists(tmp_path).faults)
    assert fault == (
        "labels.csv: The file cannot be read: its line 3 has more than 1,048,576 characters; shorten it. "
        "Write it as CSV in UTF-8."
    )


@pytest.mark.parametrize(
    "given",
    [-3, 0, "nan", "inf", "soon", "1:30", "12,5", True, [3], {"s": 3}, MOST_SECONDS + 1, 10**400],
)
def test_a_time_that_is_none_is_a_fault(tmp_path: Path, given: object) -> None:
    found, (fault,) = read(tmp_path, manifest_json=manifest(given, MOST_SECONDS))
    assert found == {B: MOST_SECONDS}
    assert (
        fault.startswith("manifest.json [a.jpg, depth]: The label's time is ") and len(fault) < 300
    )
    assert (
        "it must be a number of seconds above 0, at most a day. Fix it, or leave it empty if it is not"
        in fault
    )


def test_a_fault_of_a_table_names_its_line(tmp_path: Path) -> None:
    table = COLUMNS + "r1-b,b.jpg,depth,b.png,4\nr1-a,a.jpg,depth,a.png,-4\n"
    found, (fault,) = read(tmp_path, manifest_csv=table)
    assert found == {B: 4.0} and fault.startswith(
        "manifest.csv line 3 [a.jpg, depth]: The label's time is '-4'; "
    )


def test_two_times_of_one_label_are_a_fault(tmp_path: Path) -> None:
    table = COLUMNS + "r1-a,a.jpg,depth,a.png,5\n"
    assert read(tmp_path, manifest_csv=table, manifest_json=manifest(5)) == ({A: 5.0}, [])
    assert read(tmp_path, manifest_json=manifest(6)) == (
        {A: 6.0},
        [
            "manifest.csv line 2 [a.jpg, depth]: The label took 5 seconds here and 6 in manifest.json. Keep one of the "
            "two."
        ],
    )


def annotators(folder: Path, **texts: str) -> tuple[dict[Cell, str], list[str]]:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    lists = read_lists(folder)
    names = {cell: name for cell, (name, _) in lists.annotators.items()}
    return names, list(map(str, lists.faults))


def test_annotators_are_read_from_each_list_and_empty_ones_are_unknown(tmp_path: Path) -> None:
    c = Cell("c.jpg", "depth")
    rows = json.loads(manifest(None, None))
    rows[0]["annotator"] = "Ada"
    assert annotators(tmp_path, manifest_json=json.dumps(rows)) == ({A: "Ada"}, [])
    table = "image,task,annotator\nb.jpg,depth, sam2-large \na.jpg,depth,\n"
    assert annotators(tmp_path, manifest_csv=table) == ({A: "Ada", B: "sam2-large"}, [])
    listed = "image,task,path,annotator\nc.jpg,depth,c.png,Bob\n"
    assert annotators(tmp_path, labels_csv=listed) == ({A: "Ada", B: "sam2-large", c: "Bob"}, [])


@pytest.mark.parametrize("name", [7, ["Ada"], "two\nlines", "a" * 201])
def test_an_annotator_that_is_no_name_is_a_fault(tmp_path: Path, name: object) -> None:
    rows = json.loads(manifest(None))
    rows[0]["annotator"] = name
    names, (fault,) = annotators(tmp_path, manifest_json=json.dumps(rows))
    assert not names and len(fault) < 300
    assert fault.startswith("manifest.json [a.jpg, depth]: The annotator is ")
    assert "it must be one line of at most 200 characters. Fix it, or leave it empty" in fault


def test_two_annotators_of_one_label_are_a_fault(tmp_path: Path) -> None:
    rows = json.loads(manifest(None))
    rows[0]["annotator"] = "Ada"
    table = "image,task,annotator\na.jpg,depth,Bob\n"
    names, faults = annotators(tmp_path, manifest_json=json.dumps(rows), manifest_csv=table)
    assert names == {A: "Ada"}
    assert faults == [
        "manifest.csv line 2 [a.jpg, depth]: The label is by 'Bob' here and by 'Ada' in "
        "manifest.json. Keep one of the two."
    ]
