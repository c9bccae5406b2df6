"""Keeps a row of bytes for each label file, by the hash of the file's content. Loads no torch.

A file is a line of JSON, which says what the rows are about, and the rows. What is damaged, or is
about something else, says nothing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bytes, Places
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import atomic_write, disk_errors, read_bytes

#: The bytes of a content hash, with which each row begins.
WIDTH = 16
HASH = re.compile(f"[0-9a-f]{{{2 * WIDTH}}}")


def read_rows(path: Path) -> tuple[dict[str, Any], Bytes]:
    """The first line of a file, and its rows, uint8 [n, w].

    Without a file that says how wide they are, an empty line and no rows.
    """
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        line, _, body = read_bytes(path).partition(b"\n")
        head = json.loads(line)
        return head, np.frombuffer(body, np.uint8).reshape(-1, WIDTH + int(head["width"]))
    return {}, np.zeros((0, WIDTH), np.uint8)


def write_rows(
    path: Path, head: Mapping[str, Any], rows: Bytes, added: Mapping[str, bytes]
) -> None:
    """Write old rows, and new rows with their content hashes; a full disk stops nothing.

    `head` is what `read_rows` returns; `added` has the bytes after the hash, as many as in `rows`.
    """
    line = json.dumps({**head, "width": rows.shape[1] - WIDTH}, ensure_ascii=False)
    parts = [bytes.fromhex(content) + values for content, values in added.items()]
    with suppress(LabelgridError), disk_errors(path), atomic_write(path) as temporary:
        temporary.write_bytes(b"".join([line.encode(), b"\n", rows.tobytes(), *parts]))


@dataclass(frozen=True)
class ContentRows:
    """Rows by the hashes of label files.

    Args:
        rows: uint8 [n, w]; each begins with the hash of a content.
    """

    rows: Bytes

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """The first 16 bytes of each row, as two numbers [n, 2]."""
        return _halves(self.rows[:, :WIDTH].tobytes())

    def places(self, contents: Sequence[str]) -> Places:
        """The place of the row of each content hash; -1 of those without a row."""
        none = np.full(len(contents), -1)
        if not len(self.rows):
            return none
        wanted = _halves(_bytes_of(contents))
        order = np.argsort(self.hashes[:, 0], kind="stable")
        after = np.searchsorted(self.hashes[order, 0], wanted[:, 0])
        places = order[np.minimum(after, len(order) - 1)]
        return np.where((self.hashes[places] == wanted).all(1), places, none)


def _halves(content: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(content, np.uint64).reshape(-1, WIDTH // 8)


def _bytes_of(contents: Sequence[str]) -> bytes:
    """The bytes of content hashes; zeros in place of other texts."""
    with suppress(ValueError):
        joined = bytes.fromhex("".join(contents))
        if len(joined) == WIDTH * len(contents):
            return joined
    nothing = "0" * 2 * WIDTH
    hashes = (content if HASH.fullmatch(content) else nothing for content in contents)
    return bytes.fromhex("".join(hashes))
