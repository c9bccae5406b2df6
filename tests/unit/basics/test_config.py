"""The TOML border: strict, with the place and the nearest right key."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from pydantic import Field

from labelgrid.basics.config import merge, parse, read_toml, tables_of
from labelgrid.basics.errors import RecipeError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    mode: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)


def test_values_become_nested_frozen_dataclasses():
    assert parse(Outer, {"name": "x", "inner": {"rate": 1, "sizes": [1, 2]}}, "f") == Outer(
        "x", Inner(1.0, "a", (1, 2))
    )


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"name": "x", "iner": {}},
            r"iner: unknown key \(did you mean 'inner'\?\) *\. \(f\.toml\)|iner: unknown key",
        ),
        ({"name": "x", "inner": {"rat": 1}}, r"inner\.rat: unknown key \(did you mean 'rate'\?\)"),
        (
            {"name": "x", "inner": {"zzz": 1}},
            r"inner\.zzz: unknown key \(known: rate, mode, sizes, share\)",
        ),
        (
            {"name": "x", "inner": {"sizes": 4}},
            r"inner\.sizes: a list, such as \[1, 2\], is expected; it is 4",
        ),
        ({"name": "x", "inner": []}, r"inner: a table is expected"),
        ({"name": 3}, r"name: text is expected; it is 3"),
        (
            {"name": "x", "inner": {"rate": "fast"}},
            r'inner\.rate: a number is expected; it is "fast"',
        ),
        ({"name": "x", "inner": {"mode": "c"}}, r"inner\.mode: input should be 'a' or 'b'"),
        (
            {"name": "x", "inner": {"share": 1.0}},
            r"inner\.share: input should be less than 1; it is 1\.0",
        ),
        (
            {"name": "x", "inner": {"share": -0.5}},
            r"inner\.share: input should be greater than or equal to 0; it is -0",
        ),
        ({}, r"name: "),
    ],
)
def test_wrong_values_are_refused_with_their_place(values, fault):
    with pytest.raises(RecipeError, match=fault) as caught:
        parse(Outer, values, "f.toml")
    assert "f.toml" in str(caught.value)


def test_files_that_are_no_toml_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="The file does not exist"):
        read_toml(tmp_path / "a.toml")
    for content in (b"[a\n", b"\xff\xfe"):
        (tmp_path / "a.toml").write_bytes(content)
        with pytest.raises(RecipeError, match="The file is not TOML"):
            read_toml(tmp_path / "a.toml")


def test_tables_are_merged_and_values_replaced():
    base = {"a": {"x": 1, "y": {"z": 1}}, "b": [1]}
    assert merge(base, {"a": {"y": {"w": 2}}, "b": [2]}) == {
        "a": {"x": 1, "y": {"z": 1, "w": 2}},
        "b": [2],
    }
    assert base == {"a": {"x": 1, "y": {"z": 1}}, "b": [1]}


def test_the_options_of_another_plug_in_are_not_inherited():
    base = {"network": {"name": "pad_net", "options": {"own": "features", "width": 48}}}
    assert merge(base, {"network": {"options": {"width": 8}}})["network"]["options"] == {
        "own": "features",
        "width": 8,
    }
    other = merge(base, {"network": {"name": "shared_heads", "options": {"width": 64}}})
    assert other["network"] == {"name": "shared_heads", "options": {"width": 64}}


def test_values_of_dotted_keys_are_tables_whose_names_come_first():
    values = {
        "network.options.width": 8,
        "network.name": "mti_net",
        "train.steps": 5,
        'score."my.own:build".passes': 2,
        "data": {"size": [32, 64], "fit": "crop"},
        "data.fit": "pad",
    }
    assert tables_of(values) == {
        "data": {"size": [32, 64], "fit": "pad"},
        "network": {"name": "mti_net", "options": {"width": 8}},
        "train": {"steps": 5},
        "score": {"my.own:build": {"passes": 2}},
    }
