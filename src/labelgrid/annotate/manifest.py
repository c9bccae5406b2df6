"""Reads, checks and writes the manifest of a request, and defines the keys of its entries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from labelgrid.annotate.json_files import Decoder, plain_text
from labelgrid.basics import files
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import Explanation

MANIFEST = "manifest.json"
MANIFEST_TABLE = "manifest.csv"
#: The folders of a request for its images and its labels.
IMAGES = "images"
LABELS = "labels"
#: The key of how long a label took.
SECONDS = "seconds"
#: The key of who or what made a label.
ANNOTATOR = "annotator"
#: The keys by which a file is a manifest, also one that another program wrote.
_NAMES = ("request_id", "image", "task", "path")
#: The keys that an entry has only where something is known.
_KNOWN = ("brings", "terms", "explanation")
#: Bytes of a manifest, at most.
_LARGEST = 2**30


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """A requested label, as `manifest.json` lists it; `manifest.csv` has no terms.

    Args:
        request_id: the round and a hash of image and task, such as "r1-8f14e45fceea167a".
        image: the image of the cell.
        file: the image's file, or its upright copy, below the folder; "images/IMAGE" in requests of
            the first version, which lack the key.
        task: the task of the cell.
        path: the path of the label below the folder; another extension of the format is accepted.
        format: the label format.
        score: the score of the strategy; null if no strategy picked the cell.
        cost: the cost of the label; 0 if paid before it was withdrawn.
        why: the reason, in words.
        seconds: how long the label took; for the annotator to fill in.
        annotator: who or what made the label; for the annotator to fill in.
        brings: the tasks whose label of the image follows from this label, where there are any.
        terms: the parts of the score, where known.
        explanation: how the pick compares with other candidates, where known.
    """

    request_id: str
    image: str
    file: str = ""
    task: str
    path: str
    format: str
    score: float | None
    cost: float
    why: str
    seconds: float | str | None
    annotator: str | None
    brings: tuple[str, ...] = ()
    terms: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation = field(default_factory=Explanation)

    @classmethod
    def keys(cls) -> frozenset[str]:
        """The keys that an entry can have."""
        return frozenset(part.name for part in fields(cls))

    def as_json(self) -> Json:
        """The entry as JSON values, without unknown explanations."""
        values = vars(self) | {
            "brings": list(self.brings),
            "terms": dict(self.terms),
            "explanation": self.explanation.as_json(),
        }
        return {name: value for name, value in values.items() if value or name not in _KNOWN}

    def as_columns(self) -> Json:
        """The entry as a line of `manifest.csv`."""
        values = {name: value for name, value in vars(self).items() if name not in _KNOWN}
        return values | {
            "rank": self.explanation.rank or "",
            "nearest": self.explanation.nearest,
            "brings": " ".join(self.brings),
        }


#: The columns of `manifest.csv`.
COLUMNS = (
    *(part.name for part in fields(ManifestEntry) if part.name not in _KNOWN),
    *("rank", "nearest", "brings"),
)


def read_manifest(path: Path, decoder: Decoder = plain_text) -> list[Json] | None:
    """The rows of a manifest, or None if the file is not a manifest."""
    try:
        with files.open_regular(path, _LARGEST) as file:
            rows = json.loads(decoder(file.read()))
    except (OSError, ValueError, RecursionError):
        return None
    return rows if isinstance(rows, list) and all(map(names_label, rows)) else None


def write_manifest(path: Path, entries: Sequence[ManifestEntry]) -> None:
    """Write a manifest atomically."""
    rows = [entry.as_json() for entry in entries]
    files.write_text(path, json.dumps(rows, indent=1) + "\n")


def names_label(row: object) -> bool:
    """Whether a value names a label and its file, as each row of a manifest does."""
    return isinstance(row, dict) and all(isinstance(row.get(key), str) for key in _NAMES)


def is_request(row: object) -> bool:
    """Whether this or an earlier version of labelgrid wrote a row."""
    if not isinstance(row, dict) or not names_label(row):
        return False
    if not isinstance(row.get("file", ""), str):
        return False
    keys = ManifestEntry.keys()
    return keys - {"file", *_KNOWN} <= row.keys() <= keys
