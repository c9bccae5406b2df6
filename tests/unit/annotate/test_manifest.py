"""Laws of the keys of a request's manifest."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from labelgrid.annotate.manifest import ManifestEntry, is_request, read_manifest
from labelgrid.ledger.grid import Explanation
from tools.source import ROOT

#: An entry as the version before `file`, `brings` and explanations wrote it.
OLD = {
    "request_id": "r1-8f14e45fceea167a",
    "image": "a.jpg",
    "task": "depth",
    "path": "labels/depth/a.png",
    "format": "depth_png",
    "score": 0.5,
    "cost": 1.0,
    "why": "it",
    "seconds": None,
    "annotator": "",
}


def test_an_entry_writes_what_explains_it_only_where_that_is_known() -> None:
    entry = ManifestEntry(**OLD, file="images/a.jpg")
    assert list(entry.as_json()) == [
        *("request_id", "image", "file", "task", "path", "format"),
        *("score", "cost", "why", "seconds", "annotator"),
    ]
    known = ManifestEntry(
        **OLD, brings=("normals",), terms={"unsure": 2.0}, explanation=Explanation(rank=3)
    )
    assert list(known.as_json())[-3:] == ["brings", "terms", "explanation"]
    assert known.as_json()["explanation"] == {"rank": 3}


def test_a_manifest_of_the_version_before_is_a_request(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps([OLD]))
    rows = read_manifest(tmp_path / "manifest.json")
    assert rows == [OLD] and is_request(OLD)


@pytest.mark.parametrize("explanation", [{"key of another version": 3}, None], ids=str)
def test_an_entry_of_another_version_explains_itself_in_its_own_way(explanation: Any) -> None:
    assert is_request(OLD | {"explanation": explanation})


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"path": 3},
        {"task": None},
        {"image": ["a.jpg"]},
        {"file": 3},
    ],
    ids=str,
)
def test_an_entry_with_other_keys_or_names_is_no_request(change: dict[str, Any]) -> None:
    assert not is_request(OLD | change)


@pytest.mark.parametrize("key", list(OLD))
def test_an_entry_without_a_key_is_no_request(key: str) -> None:
    assert not is_request({name: value for name, value in OLD.items() if name != key})


def test_labels_of_other_programs_need_the_names_alone(tmp_path: Path) -> None:
    row = {name: OLD[name] for name in ("request_id", "image", "task", "path")}
    (tmp_path / "manifest.json").write_text(json.dumps([row | {"colour": "red"}]))
    assert read_manifest(tmp_path / "manifest.json") == [row | {"colour": "red"}]
    (tmp_path / "manifest.json").write_text(json.dumps([row | {"path": 3}]))
    assert read_manifest(tmp_path / "manifest.json") is None


def test_the_page_of_labels_says_each_key() -> None:
    page = (ROOT / "docs/labels.md").read_text(encoding="utf-8")
    _, _, after = page.partition("Each entry of the manifest")
    keys, _, _ = after.partition("Here a script answers:")
    said = set(re.findall(r"`(\w+)`", keys))
    assert ManifestEntry.keys() <= said
