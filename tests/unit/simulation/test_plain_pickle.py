"""Laws of plain pickles: every protocol reads as it was written, and nothing else is opened, let alone run."""

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.simulation.plain_pickle import plain_value

NESTED = st.recursive(
    st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(NESTED, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_read_as_they_were_written_in_every_protocol(
    value: Any, protocol: int
) -> None:
    data = pickle.dumps(value, protocol)
    assert plain_value(data) == value
    assert plain_value(pickletools.optimize(data)) == value


@given(NESTED, st.data())
def test_a_part_of_a_pickle_is_refused(value: Any, data: st.DataObject) -> None:
    whole = pickle.dumps(value)
    with pytest.raises(ValueError, match=r".+"):
        plain_value(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_one_type_of_error(data: bytes) -> None:
    for start in (b"", b"\x80\x04", b"\x80\x04](", b"\x80\x04}("):
        try:
            plain_value(start + data)
        except ValueError:
            continue


class Evil:
    """An object whose pickle makes a file when it is opened by `pickle`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, protocol: int
) -> None:
    data = pickle.dumps({"depth": [Evil(tmp_path / "ran")]}, protocol)
    with pytest.raises(ValueError, match="holds more than dicts, lists, texts"):
        plain_value(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)  # noqa: S301
    assert (tmp_path / "ran").exists()  # the same bytes do run in `pickle`


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1}, b"bytes", 1.5, None, True, print, bytearray(1)],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="holds more than"):
        plain_value(pickle.dumps([value]))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "ends too early|exhausted"),
        (b".", "well-formed"),
        (b"]].", "well-formed"),
        (b"](a.", "well-formed"),
        (b"]((a.", "well-formed"),
        (b"}((s.", "well-formed"),
        (b"(q\x00.", "well-formed"),
        (b"(.", "well-formed"),
        (b"K\x01K\x02a.", "well-formed"),
        (b"](K\x01u.", "well-formed"),
        (b"}(K\x01u.", "keys"),
        (b"}(]K\x01u.", "keys"),
        (b"j\xff\xff\xff\xff.", "well-formed"),
        (b"]r\xff\xff\xff\xff", "ends|exhausted"),
        (b"e.", "well-formed"),
        (b"Pid\n.", "holds more"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "."),
    ],
)
def test_broken_pickles_are_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        plain_value(data)
