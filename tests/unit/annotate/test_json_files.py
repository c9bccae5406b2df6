"""JSON files of tools are read entry by entry, and nothing in them is trusted."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from labelgrid.annotate import json_files
from labelgrid.annotate.answers import Fault
from labelgrid.annotate.json_files import (
    GroupedFaults,
    Member,
    answer_files,
    holds_keys,
    read_members,
)
from labelgrid.basics.errors import LabelError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_together(members: list[Member]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, number, value in members:
        if number is None:
            found[key] = value
        else:
            assert number == len(found[key])
            found[key].append(value)
    return found


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": []},
        {"a": [1, [2, {"b": "]},"}], {}], "b": {"c": [3]}, "d": None, "ä": "😀"},
    ],
)
def test_the_members_are_those_of_the_object(
    tmp_path: Path, value: Any, indent: int | None
) -> None:
    path = written(tmp_path, json.dumps(value, indent=indent))
    assert put_together(list(read_members(path))) == value
    path = written(tmp_path, "\ufeff \n" + json.dumps(value, ensure_ascii=False) + " \n")
    assert put_together(list(read_members(path))) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"a"',
        '{"a":',
        '{"a": 1',
        '{"a": 1,}',
        '{"a": [1',
        '{"a": [1,]}',
        '{"a": [1 2]}',
        '{"a": 1} {}',
        '{"a": 1, "a": 2}',
        "{1: 2}",
        '{"a": NaN}',
        '{"a": [-Infinity]}',
        '{"a": ' + "[" * 200_000,
        '{"a": ' + '{"b":' * 200_000,
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\t"}',
        b"\xff\xfe{\x00}",
        b"\xff\xfe[\x00]\x00",
    ],
)
def test_what_is_no_object_of_json_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(LabelError, match="cannot be read as JSON"):
        list(read_members(written(tmp_path, text)))


def test_a_file_beyond_the_limit_and_a_missing_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '{"a": 1}')
    monkeypatch.setattr(json_files, "LARGEST", 7)
    with pytest.raises(LabelError, match="more than"):
        list(read_members(path))
    with pytest.raises(LabelError, match="No such file"):
        list(read_members(tmp_path / "b.json"))


def test_the_files_of_an_answer_are_those_inside_its_folder(tmp_path: Path) -> None:
    outside = written(tmp_path, "{}")
    answer = tmp_path / "answer"
    (answer / "sub").mkdir(parents=True)
    for name in ("sub/b.JSON", "a.json", ".hidden.json", "a.txt"):
        (answer / name).touch()
    (answer / "link.json").symlink_to(outside)
    faults: list[Fault] = []
    assert [name for _, name in answer_files(answer, faults)] == ["a.json", "sub/b.JSON"]
    assert [fault.where for fault in faults] == ["link.json"]
    assert list(answer_files(outside, faults)) == [(outside, "a.json")]


def test_keys_are_found_at_both_ends_of_a_large_file(tmp_path: Path) -> None:
    path = written(tmp_path, '{"first": [' + "0, " * 100_000 + '0], "last": 1}')
    assert holds_keys(tmp_path, ("first", "last")) and holds_keys(path, ("last",), without="other")
    assert not holds_keys(tmp_path, ("first", "other"))
    assert not holds_keys(path, ("first",), without="last")
    assert not holds_keys(tmp_path / "missing", ("first",))
    written(tmp_path, '["first", "last"]')
    assert not holds_keys(tmp_path, ("first",))


def test_faults_of_one_kind_are_one_fault() -> None:
    faults = GroupedFaults("a.json")
    for number in range(1001):
        faults.add(f"shapes[{number}]", "It is wrong.", "Draw it again.")
    faults.add("", "It is empty.")
    assert [str(fault) for fault in faults] == [
        "a.json shapes[0] and 1,000 more: It is wrong. Draw it again.",
        "a.json: It is empty.",
    ]


def test_a_large_file_that_is_no_object_is_refused_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    with path.open("wb") as file:
        file.truncate(2**29)
    tracemalloc.start()
    with pytest.raises(LabelError, match="does not begin"):
        list(read_members(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22
