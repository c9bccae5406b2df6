"""Reads lists of texts by name from a pickle, or from a `.npy` file with one.

Nothing that the file names is called.
"""

import io
import pickle
import pickletools
from functools import partial
from typing import Any

import numpy as np

#: How a file of `np.save` begins.
NPY = b"\x93NUMPY"
#: Texts that a file may have.
MAX_TEXTS = 2**20
#: The globals, by module, with which NumPy writes an array of objects and each `numpy.str_`. The
#: module of the functions has an older and a newer name.
_MULTIARRAY = frozenset({"_reconstruct", "scalar"})
_ALLOWED = {
    "numpy": frozenset({"dtype", "ndarray"}),
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
}
#: Opcodes that put the top of the stack into the memo, that get it from there, and that make
#: tuples.
_PUTS = frozenset({"PUT", "LONG_BINPUT", "BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "LONG_BINGET", "BINGET"})
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
#: Opcodes that would hide what an entry of the memo is, and those that leave the stack as it is.
_REFUSED = frozenset({"DUP", "POP", "POP_MARK"})
_NEUTRAL = frozenset({"PROTO", "FRAME"})
_OTHER = "it holds something else than lists of texts by name"


def lists_of_texts(data: bytes) -> dict[str, list[str]]:
    """Read the dict of lists of texts in a pickle, or in a `.npy` file with a single object.

    The globals that NumPy writes are allowed, but their calls are recorded instead of made, and
    texts are read from the records. All other globals are refused.

    Raises:
        ValueError: the data holds anything else, is truncated, or is no such file.

    Example:
        >>> import pickle
        >>> lists_of_texts(pickle.dumps({"depth": ["a", "b"]}))
        {'depth': ['a', 'b']}
        >>> lists_of_texts(pickle.dumps(print))
        Traceback (most recent call last):
        ValueError: it holds 'builtins.print', and only lists of texts by name are read
    """
    if data.startswith(NPY):
        value = _array_item(_load_pickle(_npy_pickle(data)))
    else:
        value = _load_pickle(data)
    if not isinstance(value, dict) or not value:
        raise ValueError(_OTHER)
    if not all(isinstance(texts, list) for texts in value.values()):
        raise ValueError(_OTHER)
    if sum(map(len, value.values())) > MAX_TEXTS:  # one list may stand in a file many times
        raise ValueError(f"it has more than {MAX_TEXTS} texts")
    return {_text(name): list(map(_text, texts)) for name, texts in value.items()}


def _npy_pickle(data: bytes) -> bytes:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it has a header that NumPy writes for structured arrays only")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.dtype(object) or shape:
        raise ValueError(f"it holds an array of {dtype} with the shape {shape}, not a dict")
    return stream.read()


class _Call:
    """A recorded call of a file, with the state of the result."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Allows NumPy's globals of such a file, as records."""

    def find_class(self, module: str, name: str) -> Any:
        """As `pickle.Unpickler`.

        Raises:
            UnpicklingError: it is no global that NumPy writes in such a file.
        """
        if name in _ALLOWED.get(module, ()):
            return partial(_Call, name)
        full_name = f"{module}.{name}"[:80]
        raise pickle.UnpicklingError(
            f"it holds {full_name!r}, and only lists of texts by name are read"
        )


def _load_pickle(data: bytes) -> Any:
    try:
        _check_memo(data)
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # broken pickles raise many types
        raise ValueError(str(error) or "it ends too early") from error


def _check_memo(data: bytes) -> None:
    """Refuse what a small file could waste memory or time with, and no pickler writes.

    An entry with a large number makes the memo as large. The time to hash nested tuples that are
    each used twice doubles with each level.
    """
    entries: set[int] = set()
    tuples: set[int] = set()
    last = ""
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        entry: int = len(entries) if argument is None else argument
        far = name in _PUTS and entry >= len(data)
        if far or name in _REFUSED or (name in _GETS and entry in tuples):
            raise ValueError(f"it is not written by a pickler ({name})")
        if name in _PUTS:
            entries.add(entry)
            if last in _TUPLES:
                tuples.add(entry)
        if name not in _NEUTRAL:
            last = name


def _array_item(value: Any) -> Any:
    match value:
        case _Call(name="_reconstruct", state=(_, (), _Call(name="dtype"), _, [item])):
            return item
    raise ValueError(_OTHER)


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case _Call(name="scalar", arguments=(_Call(name="dtype") as kind, bytes() as data)):
            return data.decode(_encoding(kind)).rstrip("\0")
    raise ValueError(_OTHER)


def _encoding(kind: _Call) -> str:
    """The encoding of the texts of a recorded type, such as `<U11`."""
    match kind.arguments, kind.state:
        case (str() as code, *_), (_, "<" | ">" as order, *_) if code.startswith("U"):
            return "utf-32-le" if order == "<" else "utf-32-be"
    raise ValueError(_OTHER)
