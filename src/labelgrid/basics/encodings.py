"""Reads texts of other programs: UTF-8, UTF-16, or the default encodings of their computers."""

import codecs
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

#: The beginnings of texts, longest first, and their encodings.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: What computers write whose programs ask for no encoding, and where; iconv knows the same names.
LOCAL = {
    "gb18030": "China",
    "big5": "Taiwan",
    "cp932": "Japan",
    "cp949": "Korea",
    "cp1252": "western Europe",
    "cp1250": "central Europe",
    "cp1251": "eastern Europe",
}
#: The older, smaller part of an encoding, in which nearly all texts are.
_COMMON = {"gb18030": "gb2312", "cp932": "shift_jis", "cp949": "euc_kr"}
_WORD = re.compile(r"[^\W\d_]+")
#: In so many bytes at its beginning a text of UTF-16 has an ASCII character or two.
_START = 4096
#: Characters that no text has; what wrong encodings make of bytes often is one.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Decoded(NamedTuple):
    """A text, and its encoding; empty: UTF-8."""

    text: str
    encoding: str = ""


class UnknownEncodingError(UnicodeDecodeError):
    """A text that is no UTF-8, and may be of several encodings; `advice` says what to do."""

    def __init__(self, error: UnicodeDecodeError, encodings: Mapping[str, str]) -> None:
        super().__init__(error.encoding, error.object, error.start, error.end, error.reason)
        self.advice = _advice(encodings)

    def __str__(self) -> str:
        byte = self.object[self.start]
        return f"it is not UTF-8 text (byte 0x{byte:02x} at position {self.start:,})"


def decode(data: bytes, words: Collection[str] = ()) -> Decoded:
    """Decode a text.

    A byte order mark, or zeros where UTF-16 has them, give the encoding; else UTF-8 is assumed. A
    text in neither encoding is read in the only computer encoding in which it contains known words.

    Args:
        data: the text's bytes.
        words: known words that are not ASCII, as of `words_in`.

    Raises:
        UnknownEncodingError: no encoding, or more than one, is possible.

    Example:
        >>> decode("chaise".encode("utf-16"))
        Decoded(text='chaise', encoding='utf-16')
        >>> decode("椅子".encode("gb18030"), words_in(["椅子"]))
        Decoded(text='椅子', encoding='gb18030')
    """
    wide = wide_encoding(data)
    if wide:
        return Decoded(data.decode(wide), "" if wide == "utf-8-sig" else wide)
    try:
        return Decoded(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        possible = _possible(data)
        matching = {name: text for name, text in possible.items() if words_in([text]) & set(words)}
        if len(set(matching.values())) != 1:
            raise UnknownEncodingError(error, matching or possible) from error
        name, text = next(iter(matching.items()))
        return Decoded(text, name)


def wide_encoding(start: bytes) -> str:
    r"""The encoding that the beginning of a text says by a mark or by zeros; empty: neither.

    Example:
        >>> wide_encoding(b"{\0\n\0"), wide_encoding(b"{}")
        ('utf-16-le', '')
    """
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    even = start[0:_START:2].count(0)
    odd = start[1:_START:2].count(0)
    if odd > 1 and not even:
        return "utf-16-le"
    if even > 1 and not odd:
        return "utf-16-be"
    return ""


def begin(start: bytes) -> bytes:
    """The beginning or end of a text as UTF-8, for recognition; it never fails.

    Example:
        >>> begin("{}".encode("utf-16")), begin(b"{}")
        (b'{}', b'{}')
    """
    wide = wide_encoding(start)
    if wide:
        return start.decode(wide, errors="replace").encode("utf-8", "replace")
    return start


def words_in(texts: Collection[str]) -> frozenset[str]:
    """The words in texts that are not ASCII, in small letters.

    Example:
        >>> sorted(words_in(["grüne Tür", "chair"]))
        ['grüne', 'tür']
    """
    words = set[str]()
    for text in texts:
        if not text.isascii():
            words.update(word for word in _WORD.findall(text.casefold()) if not word.isascii())
    return frozenset(words)


def _possible(data: bytes) -> dict[str, str]:
    texts = {}
    for name in LOCAL:
        with suppress(UnicodeDecodeError):
            texts[name] = data.decode(name)
    return {name: text for name, text in texts.items() if not _CONTROL.search(text)}


def _advice(encodings: Mapping[str, str]) -> str:
    if not encodings:
        return "Export it again."
    first, *others = sorted(encodings, key=lambda name: _is_rare(name, encodings[name]))
    more = ", ".join(f"{name} in {LOCAL[name]}" for name in others)
    return (
        f"Convert it from what the computer writes that made it: `iconv -f {first} -t utf-8 FILE > "
        f"NEW` in {LOCAL[first]}{f', or {more}' if more else ''}."
    )


def _is_rare(name: str, text: str) -> bool:
    """Whether a text has characters that are not in the older, smaller part of an encoding."""
    try:
        text.encode(_COMMON.get(name, name))
    except UnicodeEncodeError:
        return True
    return False
