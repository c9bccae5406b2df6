import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from labelgrid.ledger.grid import Explanation
from labelgrid.recipes.resolve import recipe_files
from tests.campaigns import manifest
from tests.models import depth_model
from tests.projects import make_project
from tests.real_models import MODELS
from tests.unit.annotate.tools.test_folder import request_of, write
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


def test_manifests_of_each_version_fit_their_schema(made, tmp_path) -> None:
    data = made(n=2, tasks=("depth",))
    explained = Explanation(quantiles={"unsure": 0.5}, rank=3, nearest="b.jpg", distance=1.5)
    request = request_of(data, data.names)
    pick = replace(request.items[0].pick, terms={"unsure": 2.0}, explanation=explained)
    first = replace(request.items[0], pick=pick, brings=("normals",))
    write(replace(request, items=[first, *request.items[1:]]), tmp_path / "out")
    rows = manifest(tmp_path / "out")
    assert wrong_in("manifest.json", rows) == []
    rows[0]["seconds"] = "31.5"
    rows[1].pop("file")  # the first version had none
    assert wrong_in("manifest.json", rows) == []


def test_descriptions_of_models_fit_their_schema_and_wrong_ones_do_not(tmp_path) -> None:
    text = depth_model(tmp_path).read_text()
    texts = [text, *(path.read_text() for path in MODELS.glob("*.toml"))]
    values = [tomllib.loads(text) for text in texts]
    values.append(values[0] | {"output": [{"name": "a"}, {"name": "b"}]})
    assert [wrong_in("model.json", value) for value in values] == [[]] * len(values)
    for change in ({"fil": "x"}, {"output": {"nam": "x"}}, {"input": {"name": 3}}):
        assert wrong_in("model.json", values[0] | change)


@pytest.mark.parametrize("change", [{"colour": "red"}, {"path": 3}, {"explanation": {"rnk": 3}}])
def test_the_schema_of_manifests_refuses_what_no_request_says(
    made, tmp_path, change: dict[str, Any]
) -> None:
    data = made(n=1, tasks=("depth",))
    write(request_of(data, data.names), tmp_path / "out")
    (row,) = manifest(tmp_path / "out")
    assert wrong_in("manifest.json", [row | change])


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
