"""Laws of lists of texts in pickles: they read as they were written; anything else is not run."""

import io
import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.lab.simulation import plain_pickle
from labelgrid.lab.simulation.plain_pickle import lists_of_texts

TEXTS = st.text() | st.text().map(np.str_)
LISTS = st.dictionaries(st.text(), st.lists(TEXTS), min_size=1)


def saved(value: object) -> bytes:
    """What `np.save` writes."""
    stream = io.BytesIO()
    np.save(stream, value)  # type: ignore[arg-type]
    return stream.getvalue()


def opened(data: bytes) -> Any:
    """What NumPy makes of it."""
    return np.load(io.BytesIO(data), allow_pickle=True).item()


@given(
    st.dictionaries(st.text(), st.lists(st.text()), min_size=1),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
)
def test_lists_read_as_pickle_wrote_them_in_every_protocol(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert lists_of_texts(data) == value
    assert lists_of_texts(pickletools.optimize(data)) == value


@given(LISTS)
def test_lists_read_as_numpy_saves_and_loads_them(value: Any) -> None:
    data = saved(value)
    assert lists_of_texts(data) == opened(data)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays_read_in_every_protocol_that_numpy_writes(protocol: int) -> None:
    value = {"depth": [np.str_("2008_000002"), np.str_("ä")], "parts": []}
    assert (
        lists_of_texts(saved({})[:128] + pickle.dumps(np.array(value, dtype=object), protocol))
        == value
    )


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_files_of_older_and_newer_numpy_read_the_same(module: bytes) -> None:
    value = {"depth": [np.str_("2008_000002")]}
    data = pickle.dumps(np.array(value, dtype=object), 3)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        data = data.replace(name, module)
    assert lists_of_texts(saved({})[:128] + data) == value


def test_texts_of_the_other_byte_order_read_the_same() -> None:
    data = saved({"depth": [np.str_("2008")]})
    swapped = data.replace("2008".encode("utf-32-le"), "2008".encode("utf-32-be")).replace(
        b"\x01<", b"\x01>"
    )
    assert swapped != data and lists_of_texts(swapped) == {"depth": ["2008"]}


def test_a_text_that_is_itself_of_numpy_comes_out_as_a_plain_one() -> None:
    (text,) = lists_of_texts(saved({"depth": [np.str_("a")]}))["depth"]
    assert type(text) is str


@given(LISTS, st.data())
def test_a_part_of_a_file_is_refused(value: Any, data: st.DataObject) -> None:
    for whole in (pickle.dumps(value), saved(value)):
        with pytest.raises(ValueError, match=r".+"):
            lists_of_texts(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_one_type_of_error(data: bytes) -> None:
    start = saved({"depth": [np.str_("a")]})
    for known in (
        b"",
        b"\x80\x04",
        b"\x80\x04](",
        b"\x80\x04}(",
        b"\x93NUMPY",
        start[:128],
        start[:-9],
    ):
        try:
            lists_of_texts(known + data)
        except ValueError:
            continue


class Evil:
    """An object whose pickle makes a folder when it is opened by `pickle`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, protocol: int
) -> None:
    data = pickle.dumps({"depth": [Evil(tmp_path / "ran")]}, protocol)
    with pytest.raises(ValueError, match=r"it holds '\w+\.mkdir', and only lists of texts"):
        lists_of_texts(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)  # noqa: S301
    assert (tmp_path / "ran").exists()  # the same bytes do run in `pickle`


@pytest.mark.parametrize(
    "place",
    [
        lambda evil: {"depth": [np.str_("a"), evil]},
        lambda evil: {"depth": evil},
        lambda evil: {evil: [np.str_("a")]},
        lambda evil: evil,
    ],
    ids=["a text", "a list", "a name", "all"],
)
def test_an_array_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, place: Callable[[Evil], object]
) -> None:
    data = saved(np.array(place(Evil(tmp_path / "ran")), dtype=object))
    with pytest.raises(ValueError, match=r"it holds '\w+\.mkdir', and only lists of texts"):
        lists_of_texts(data)
    assert not (tmp_path / "ran").exists()
    opened(data)
    assert (tmp_path / "ran").exists()  # the same bytes do run in `np.load`


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("os", "system"),
        ("numpy", "load"),
        ("numpy", "dtype.newbyteorder"),
        ("numpy", "_core.multiarray.scalar"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.core.multiarray", "ndarray"),
        ("numpy._core.multiarray", "dtype"),
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
        ("labelgrid.lab.simulation.plain_pickle", "_Call"),
        ("numpy\x1b[2J", "dtype"),
    ],
)
def test_every_global_but_those_of_such_a_file_is_refused_by_its_name(
    module: str, name: str
) -> None:
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    found = f"{module}.{name}"
    for data in (
        b"\x80\x04" + texts + b"\x93.",
        f"c{module}\n{name}\n.".encode(),
        f"(i{module}\n{name}\n.".encode(),
    ):
        with pytest.raises(ValueError, match=r"only lists of texts") as refused:
            lists_of_texts(data)
        assert repr(found) in str(refused.value)


def test_calls_of_numpy_are_recorded_and_not_made() -> None:
    data = saved({"depth": [np.str_("2008")]})
    unknown = data.replace(b"U4", b"Z4")
    assert unknown != data
    with pytest.raises(TypeError, match="Z4"):
        opened(unknown)
    with pytest.raises(ValueError, match="something else than lists of texts"):
        lists_of_texts(unknown)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2), {1}, b"bytes", 1.5, None, True, print, bytearray(1), np.str_("a"), np.float64(1), np.array(["a"]), {},
        {"depth": (1,)}, {"depth": [np.float64(1)]}, {"depth": [b"a"]}, {1: ["a"]}, {(): ["a"]}, {"depth": [["a"]]},
    ],
    ids=repr,
)  # fmt: skip
def test_other_values_are_refused(value: object) -> None:
    for data in (pickle.dumps(value), pickle.dumps([value]), saved(value)):
        with pytest.raises(
            ValueError, match=r"something else than lists|only lists of texts|holds an array of"
        ):
            lists_of_texts(data)


def test_more_texts_than_a_split_can_have_are_refused_before_they_are_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["a", "b"]
    data = saved(
        {"depth": names, "parts": names, "edges": names}
    )  # one list in the file, three times
    assert len(lists_of_texts(data)) == 3
    monkeypatch.setattr(plain_pickle, "MAX_TEXTS", 5)
    with pytest.raises(ValueError, match="more than 5 texts"):
        lists_of_texts(data)


def test_tuples_that_take_for_ever_to_hash_are_refused() -> None:
    by_memo = b"\x80\x02}" + b"".join((b")", *(b"q%ch%c\x86" % (n, n) for n in range(60)))) + b"]s."
    by_memo_of_tuples = (
        b"\x80\x02}))\x86" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60)) + b"]s."
    )
    by_copies = b"\x80\x02}))\x86" + b"2\x86" * 60 + b"]s."
    by_removal = b"\x80\x02}))\x86" + b"".join(b"N0q%ch%c\x86" % (n, n) for n in range(60)) + b"]s."
    for data in (by_memo, by_memo_of_tuples, by_copies, by_removal):
        with pytest.raises(ValueError, match="not written by a pickler"):
            lists_of_texts(data)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "exhausted"),
        (b".", "."),
        (b"]].", "something else"),
        (b"](a.", "."),
        (b"]((a.", "."),
        (b"}((s.", "."),
        (b"(q\x00.", "."),
        (b"(.", "."),
        (b"K\x01K\x02a.", "."),
        (b"](K\x01u.", "."),
        (b"}(K\x01u.", "."),
        (b"}(]K\x01u.", "."),
        (b"j\xff\xff\xff\xff.", "."),
        (b"]r\xff\xff\xff\xff.", "not written by a pickler"),  # a memo of 64 GB
        (b"]p4294967295\n.", "not written by a pickler"),
        (b"]p-1\n.", "."),
        (b"e.", "."),
        (b"Pid\n.", "."),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "."),
        (b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x7f.", "."),  # room for 2**62 bytes
        (
            b"\x80\x02cnumpy\nndarray\nN}X\x08\x00\x00\x00__init__Ns\x86b.",
            ".",
        ),  # an attribute of a global
        (b"\x93NUMPY", "."),
        (b"\x93NUMPY\x02\x00\x00\x00\x00\x00", "header"),
        (b"\x93NUMPY\x01\x00\x03\x00{}\n", "."),
    ],
)
def test_broken_files_are_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        lists_of_texts(data)
