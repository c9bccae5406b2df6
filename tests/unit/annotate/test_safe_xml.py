"""XML is read piece by piece; what only attacks have is refused before it does anything."""

from pathlib import Path

import pytest

from labelgrid.annotate.safe_xml import Handler, read_xml, root_of
from labelgrid.basics.errors import LabelError

BOMB = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
FOREIGN = '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>'


class Log(Handler):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.lines.append(f"<{name} {attributes}")

    def end(self, name: str, text: str) -> None:
        self.lines.append(f"{text!r}>{name}")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_elements_attributes_and_texts_come_in_their_order(tmp_path: Path) -> None:
    log = Log()
    read_xml(written(tmp_path, '<a b="&amp;ä"> x<c>1 &lt; 2</c>y</a>'), log)
    assert log.lines == ["<a {'b': '&ä'}", "<c {}", "'1 < 2'>c", "'y'>a"]


@pytest.mark.parametrize("content", [BOMB, EXTERNAL, FOREIGN])
def test_a_document_type_is_refused_before_any_element(content: str, tmp_path: Path) -> None:
    log = Log()
    with pytest.raises(LabelError, match="document type"):
        read_xml(written(tmp_path, content), log)
    assert log.lines == []
    assert root_of(tmp_path / "a.xml") == ("", set())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a>&undeclared;</a>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="rot13"?><a/>',
        b'<?xml version="1.0" encoding="none-such"?><a/>',
        b"<a>\xff</a>",
        b"<a/><b/>",
    ],
)
def test_what_is_no_whole_xml_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_xml(written(tmp_path, content), Log())


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.xml"):
        with pytest.raises(LabelError, match="cannot be read"):
            read_xml(path, Log())
        assert root_of(path) == ("", set())


def test_deep_elements_and_long_texts_take_bounded_memory(tmp_path: Path) -> None:
    log = Log()
    read_xml(written(tmp_path, "<a>" * 100_000 + "</a>" * 100_000), log)
    assert len(log.lines) == 200_000
    log = Log()
    read_xml(written(tmp_path, "<a>" + "x" * 2**23 + "</a>"), log)
    assert len(log.lines[-1]) < 2**20


def test_the_beginning_of_a_file_tells_its_first_element(tmp_path: Path) -> None:
    beginning = "<annotations><meta/><image>" + "<box/>" * 10**6
    root, names = root_of(written(tmp_path, beginning))
    assert root == "annotations" and names == {"annotations", "meta", "image", "box"}
