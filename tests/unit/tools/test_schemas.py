import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from labelgrid.recipes.resolve import recipe_files
from tests.projects import make_project
from tools.schemas import FOLDER, faults, options_schema, schemas
from tools.source import ROOT

ALL = schemas()


def wrong_in(name: str, values: Any) -> list[str]:
    registry = Registry().with_resources(
        (key, Resource.from_contents(schema)) for key, schema in ALL.items()
    )
    validator = Draft202012Validator(ALL[name], registry=registry)
    return [error.message for error in validator.iter_errors(values)]


@pytest.mark.parametrize("name", recipe_files())
def test_every_shipped_recipe_fits_its_schema(name: str) -> None:
    assert wrong_in("recipe.json", tomllib.loads(recipe_files()[name].read_text())) == []


def test_the_settings_of_a_project_fit_their_schema(tmp_path) -> None:
    project, _ = make_project(tmp_path, n=4)
    project.close()
    settings = (project.folder / "labelgrid.toml").read_text()
    assert wrong_in("labelgrid.json", tomllib.loads(settings)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"tain": {}},
        {"train": {"epochs": "3"}},
        {"train": {"epoch": 3}},
        {"network": {"name": "pad_nt"}},
        {"network": {"name": "pad_net", "options": {"wdth": 3}}},
        {"terms": {"mtpsl": {"weigth": 1}}},
        {"simulate": {"seeds": "one"}},
        {"relations": {"depth_normals": {"trusted": 1}}},
    ],
    ids=str,
)
def test_a_schema_finds_what_a_recipe_refuses(values: dict[str, Any]) -> None:
    assert wrong_in("recipe.json", values)
    assert wrong_in("labelgrid.json", {"changes": values})


def test_keys_have_their_meaning_and_files_are_current(tmp_path) -> None:
    assert "random draws" in ALL["labelgrid.json"]["properties"]["seed"]["description"]
    assert faults(ROOT) == []
    (fault, *_) = faults(tmp_path)
    assert fault.startswith(f"{FOLDER}/labelgrid.json is out of date")
    json.loads((ROOT / FOLDER / "study.json").read_text())


def undescribed(schema: Any, place: str) -> Iterator[str]:
    if isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from undescribed(part, f"{place}/{number}")
    if not isinstance(schema, dict):
        return
    for name, part in schema.items():
        if name == "if":  # a condition, whose properties nobody is shown
            continue
        if name == "properties":
            yield from (f"{place}/{key}" for key in part if not part[key].get("description"))
        yield from undescribed(part, f"{place}/{name}")


@pytest.mark.parametrize("name", ALL)
def test_every_property_has_a_description(name: str) -> None:
    assert list(undescribed(ALL[name], name)) == []


def test_inherited_fields_are_described_by_the_class_that_has_them() -> None:
    networks = ALL["recipe.json"]["properties"]["network"]["allOf"]
    (pad_net,) = [
        case for case in networks if case["if"]["properties"]["name"]["const"] == "pad_net"
    ]
    dropout = pad_net["then"]["properties"]["options"]["properties"]["dropout"]
    assert dropout["description"].startswith("channel dropout")


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Nested:
    """Options with a table of their own.

    Args:
        inner: a table.
    """

    inner: Inner = field(default_factory=Inner)


def test_options_with_a_table_of_their_own_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Nested.*Inner.*flat"):
        options_schema(Nested)
