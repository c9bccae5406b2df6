"""Keeps a row of bytes for each label file, by the hash of the file's content. Loads no torch.

A file is a line of JSON, which says what the rows are about, and the rows. What is damaged, or is
about something else, says nothing.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError
from labelgrid.files import atomic_write, disk_errors, read_bytes

#: The bytes of a content hash, with which each row begins.
WIDTH = 16


def read_rows(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The first line of a file, and its rows, uint8 [n, w].

    Without a file that says how wide they are, an empty line and no rows.
    """
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        line, _, body = read_bytes(path).partition(b"\n")
        head = json.loads(line)
        rows = np.frombuffer(body, np.uint8).reshape(-1, WIDTH + int(head["width"]))
        return head, rows
    return {}, np.zeros((0, WIDTH), np.uint8)


def write_rows(
    path: Path, head: Mapping[str, Any], rows: NDArray[np.uint8], added: Mapping[str, bytes]
) -> None:
    """Write rows, and added ones by their content hashes; a full disk stops nothing.

    Args:
        path: the file.
        head: JSON values that `read_rows` returns.
        rows: earlier ones.
        added: the bytes behind the hash, as many as in `rows`.
    """
    width = rows.shape[1] - WIDTH
    line = json.dumps({**head, "width": width}, ensure_ascii=False)
    parts = [bytes.fromhex(content) + values for content, values in added.items()]
    with suppress(LabelgridError), disk_errors(path), atomic_write(path) as temporary:
        temporary.write_bytes(b"".join([line.encode(), b"\n", rows.tobytes(), *parts]))


def hashes(rows: NDArray[np.uint8]) -> list[str]:
    """The content hashes of rows, as the ledger writes them."""
    text = rows[:, :WIDTH].tobytes().hex()
    return [text[start : start + 2 * WIDTH] for start in range(0, len(text), 2 * WIDTH)]
