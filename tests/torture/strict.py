"""Strict readers, independent of the program: whether they notice that a file is damaged."""

import io
import logging
import os
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile

#: What libjpeg says where a part of the coded pixels is missing. Of bytes too many, which cameras
#: write, too, and of codes that stand for nothing, it says other things.
MISSING = ("premature end", "instead of RST")
#: TIFF's compressions that are read here.
_PLAIN = 1
_DEFLATE = (8, 32946)


def notices(path: Path) -> str:
    """What a strict reader says against a file; "" where it says nothing."""
    data = path.read_bytes()
    if path.suffix in (".jpg", ".jpeg"):
        said = decoders_words(data)
        return said if any(words in said for words in MISSING) else ""
    if path.suffix in (".tif", ".tiff"):
        return against_tiff(data)
    return ""


def decoders_words(data: bytes) -> str:
    """What OpenCV's decoders print."""
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        finally:
            os.dup2(before, 2)
            os.close(before)
        file.seek(0)
        return file.read().decode(errors="replace").strip()


def against_tiff(data: bytes) -> str:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            for start, size in parts:
                if start < 8 or start + size > len(data):
                    return "pixels lie outside of the file or in its header"
            if page.compression in _DEFLATE:
                for start, size in parts:
                    zlib.decompress(data[start : start + size])
            if page.compression == _PLAIN or page.compression in _DEFLATE:
                page.asarray()
    except Exception as error:  # noqa: BLE001 of many types
        return repr(error)
    return ""
