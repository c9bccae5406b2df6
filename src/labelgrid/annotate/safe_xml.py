"""Reads XML files piece by piece, and refuses what only attacks have: DTDs and entities."""

import codecs
import re
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from labelgrid.annotate.json_files import Decoder, plain_text
from labelgrid.basics import files
from labelgrid.basics.encodings import wide_encoding
from labelgrid.basics.errors import LabelError

#: How many bytes of a file are read to see what it is.
_START = 2**16
#: How much of a file is looked at at once.
_PIECE = 2**20
#: The encodings that the parser knows itself.
_KNOWN = frozenset({"utf-8", "utf-16", "iso-8859-1", "us-ascii"})
_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][\w.-]{0,40})")
#: How many pieces of one text are kept, each of at most 8 KiB.
_PIECES = 100


class Handler:
    """Receives the elements of a file in their order; a method may raise a `LabelError`."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str, text: str) -> None:
        """An element ends; `text` is what stood directly before its end."""


def read_xml(path: Path, handler: Handler, decoder: Decoder = plain_text) -> None:
    """Read a file to its end; of a file in UTF-8, only a piece is in memory.

    `decoder` makes a text of bytes whose encoding the file does not say.

    Raises:
        LabelError: it cannot be read, is no XML, is cut short, or declares a document type, which
            entities need.
    """
    try:
        with files.open_regular(path) as file:
            encoding = _declared(file.read(_START))
            file.seek(0)
            if encoding == "utf-8" and not _is_utf8(file):
                file.seek(0)
                _parser(handler, "utf-8").Parse(decoder(file.read()).encode(), True)
            elif encoding in _KNOWN:
                file.seek(0)
                _parser(handler).ParseFile(file)
            else:
                _parser(handler, "utf-8").Parse(file.read().decode(encoding).encode(), True)
    except LabelError:
        raise
    # An encoding that the file names is looked up, which raises further types.
    except (OSError, expat.ExpatError, LookupError, ValueError) as error:
        raise LabelError(
            f"The XML file cannot be read: {error}.",
            where=path,
            next_step=getattr(error, "advice", "Export it again."),
        ) from error


def _declared(start: bytes) -> str:
    """The encoding of a file: "utf-16" by its bytes, the declared encoding, or UTF-8."""
    if wide_encoding(start).startswith("utf-16"):
        return "utf-16"
    declared = _ENCODING.match(start.removeprefix(codecs.BOM_UTF8))
    return declared[1].decode().lower() if declared else "utf-8"


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(_PIECE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def root_of(path: Path) -> tuple[str, set[str]]:
    """The names of a file's first element and of all elements in its first bytes; "" for no XML.

    It raises nothing.
    """
    names: list[str] = []
    handler = _Names(names)
    try:
        with files.open_regular(path) as file:
            start = file.read(_START)
            # In Latin letters each byte is one, and the names of elements are ASCII.
            encoding = None if _declared(start) == "utf-16" else "iso-8859-1"
            _parser(handler, encoding).Parse(start.removeprefix(codecs.BOM_UTF8), False)
    except (OSError, LabelError, expat.ExpatError, LookupError, ValueError):
        pass  # what was read before is sound
    return names[0] if names else "", set(names)


class _Names(Handler):
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._names.append(name)


def _parser(handler: Handler, encoding: str | None = None) -> expat.XMLParserType:
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    texts: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        texts.clear()
        handler.start(name, attributes)

    def end(name: str) -> None:
        text = "".join(texts)
        texts.clear()
        handler.end(name, text)

    def add_text(text: str) -> None:
        if len(texts) < _PIECES:
            texts.append(text)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add_text
    parser.StartDoctypeDeclHandler = _refuse_document_type
    return parser


def _refuse_document_type(*_declaration: object) -> None:
    raise LabelError(
        "The XML file declares a document type, as no labelling tool does; it may hold entities.",
        next_step="Export it again.",
    )
