"""Reads XML files piece by piece, and refuses what only attacks have: DTDs and entities."""

from pathlib import Path
from xml.parsers import expat

from labelgrid import files
from labelgrid.errors import LabelError

#: How many bytes of a file are read to see what it is.
_START = 2**16
#: How many pieces of one text are kept, each of at most 8 KiB.
_PIECES = 100


class Handler:
    """Is told what a file holds, in its order; its methods may raise a `LabelError`."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str, text: str) -> None:
        """An element ends; `text` is what stood directly before its end."""


def read_xml(path: Path, handler: Handler) -> None:
    """Read a file to its end; of its content only a piece is in memory.

    Raises:
        LabelError: it cannot be read, is no XML, is cut short, or declares a document type, which
            entities need.
    """
    try:
        with files.open_regular(path) as file:
            _parser(handler).ParseFile(file)
    except LabelError:
        raise
    # An encoding that the file names is looked up, which raises further types.
    except (OSError, expat.ExpatError, LookupError, ValueError) as error:
        raise LabelError(
            f"The XML file cannot be read: {error}.",
            where=str(path),
            next_step="Export it again.",
        ) from error


def root_of(path: Path) -> tuple[str, set[str]]:
    """The names of a file's first element and of all others in its first bytes; "" for no XML.

    It raises nothing.
    """
    names: list[str] = []
    handler = _Names(names)
    try:
        with files.open_regular(path) as file:
            _parser(handler).Parse(file.read(_START), False)
    except (OSError, LabelError, expat.ExpatError, LookupError, ValueError):
        pass  # what was read before is sound
    return names[0] if names else "", set(names)


class _Names(Handler):
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._names.append(name)


def _parser(handler: Handler) -> expat.XMLParserType:
    parser = expat.ParserCreate()
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
