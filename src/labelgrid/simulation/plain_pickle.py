"""Reads pickles of plain dicts, lists, texts and whole numbers, without running anything that they hold."""

import pickletools
from typing import Any

#: Where a collection begins on the stack.
_MARK = object()
#: Opcodes that put their argument on the stack.
_VALUES = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING"}
)
_VALUES |= {"STRING", "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"}
#: Opcodes that put an entry of the memo on the stack, and that put the top of the stack into the
#: memo.
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_IGNORED = frozenset({"PROTO", "FRAME"})
_MALFORMED = "it is not a well-formed pickle"


def plain_value(data: bytes) -> Any:
    """The value that a pickle holds, of dicts, lists, texts and whole numbers.

    Its opcodes are interpreted here, not by `pickle`. Those for classes, functions, calls and
    persistent objects are refused, so nothing is imported or called. The time and memory grow
    linearly with the file.

    Raises:
        ValueError: it holds anything else, is truncated, or is no pickle.

    Example:
        >>> import pickle
        >>> plain_value(pickle.dumps({"depth": ["a", "b"]}))
        {'depth': ['a', 'b']}
        >>> plain_value(pickle.dumps(print))
        Traceback (most recent call last):
        ValueError: it holds more than dicts, lists, texts and whole numbers (STACK_GLOBAL)
    """
    reader = _Reader()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                if len(reader.stack) != 1:
                    raise ValueError(_MALFORMED)
                return reader.pop()
            reader.read(opcode.name, argument)
    except (IndexError, KeyError) as error:
        raise ValueError(_MALFORMED) from error
    raise ValueError("it ends too early")


class _Reader:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self, name: str, argument: Any) -> None:
        """Do one opcode."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name in _PUTS:
            value = self.pop()
            self.memo[len(self.memo) if argument is None else argument] = value
            self.stack.append(value)
        elif action := getattr(self, f"_{name.lower()}", None):
            action()
        elif name not in _IGNORED:
            raise ValueError(f"it holds more than dicts, lists, texts and whole numbers ({name})")

    def pop(self) -> Any:
        """Take the top value, which is no mark, from the stack."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError(_MALFORMED)
        return value

    def _mark(self) -> None:
        self.stack.append(_MARK)

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _empty_list(self) -> None:
        self.stack.append([])

    def _list(self) -> None:
        self.stack.append(self._since_mark())

    def _dict(self) -> None:
        self.stack.append(_entries(self._since_mark()))

    def _append(self) -> None:
        self._extend([self.pop()])

    def _appends(self) -> None:
        self._extend(self._since_mark())

    def _setitem(self) -> None:
        value = self.pop()
        key = self.pop()
        self._update([key, value])

    def _setitems(self) -> None:
        self._update(self._since_mark())

    def _since_mark(self) -> list[Any]:
        """Take the values since the last mark, and the mark, from the stack."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError(_MALFORMED)
        self.stack[-1].extend(values)

    def _update(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError(_MALFORMED)
        self.stack[-1].update(_entries(values))


def _entries(values: list[Any]) -> dict[Any, Any]:
    """Alternating keys and values as a dict."""
    keys = values[::2]
    if len(values) % 2 or not all(isinstance(key, str | int) for key in keys):
        raise ValueError("it has a dict whose keys are not texts or whole numbers")
    return dict(zip(keys, values[1::2], strict=True))
