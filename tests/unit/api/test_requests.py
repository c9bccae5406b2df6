"""Laws of requests: documented, checked when they are made, and methods are called with their fields."""

import inspect
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

import labelgrid
from labelgrid import Project
from labelgrid.api import requests, study
from labelgrid.api.door import CommandRequest, asks, check_values, takes
from labelgrid.api.requests import (
    ExportRequest,
    FitRequest,
    ImportAnswersRequest,
    ImportRequest,
    QueryRequest,
    SetSplitRequest,
)
from labelgrid.api.spelling import words_of
from labelgrid.api.study import AnalyseRequest, SimulateRequest
from labelgrid.basics.errors import UsageError
from labelgrid.cli import lab

COVERS = ["labelgrid.api.door_words", "labelgrid.api.spelling"]

REQUESTS = [
    each
    for each in (vars(requests) | vars(study)).values()
    if inspect.isclass(each) and issubclass(each, CommandRequest) and each is not CommandRequest
]


@pytest.mark.parametrize("request_class", REQUESTS)
def test_every_field_is_documented_once_and_nothing_else_is(
    request_class: type[CommandRequest],
) -> None:
    assert set(request_class.meanings()) == set(request_class.fields())
    assert set(request_class.spelled) <= set(request_class.fields())


@pytest.mark.parametrize("request_class", REQUESTS)
def test_a_method_takes_the_fields_of_its_request_and_documents_them(
    request_class: type[CommandRequest],
) -> None:
    name = f"Project.{request_class.__doc__}".partition("`Project.")[2].partition("`")[0]
    if not name:  # shared by several
        return
    method = getattr(Project, name)
    taken = inspect.signature(method).parameters
    assert [each for each in taken if each not in ("self", "cls")] == [*request_class.fields()]
    text = inspect.getdoc(method) or ""
    assert all(f"\n    {field}: " in text for field in request_class.fields())


@pytest.mark.parametrize(
    ("function", "request_class", "rest"),
    [
        (labelgrid.simulate, SimulateRequest, "study"),
        (labelgrid.estimate, SimulateRequest, "study"),
        (labelgrid.analyse, AnalyseRequest, "values"),
    ],
)
def test_a_function_takes_the_fields_of_its_request_and_further_names(
    function: Any, request_class: type[CommandRequest], rest: str
) -> None:
    taken = inspect.signature(function).parameters
    assert [*taken] == [*request_class.fields(), "further"]
    assert taken["further"].kind is inspect.Parameter.VAR_KEYWORD
    text = inspect.getdoc(function) or ""
    assert all(f"\n    {field}: " in text for field in request_class.fields())
    assert f"`{rest}`" in text


def test_further_names_go_into_the_mapping_of_a_request() -> None:
    @asks(AnalyseRequest, "values")
    def analysed(request: AnalyseRequest) -> dict[str, Any]:
        """Analyse."""
        return request.given()

    expected = {"folder": "study", "name": "picks", "values": {"sample": 200, "bins": 4}}
    assert analysed("study", "picks", sample=200, values={"bins": 4}) == expected
    with pytest.raises(TypeError, match=r"analysed\(\) missing a required argument: 'name'"):
        analysed("study", sample=200)
    with pytest.raises(UsageError, match="`strategies=` must be"):
        analysed("study", "picks", strategies=3)


def test_a_value_that_replaces_the_recipe_s_may_be_no_or_nothing() -> None:
    asked = SimulateRequest(None, "flat", "out", single=False, only=[], rounds=0, study={"full": 1})
    assert asked.changes() == {"single": False, "only": [], "rounds": 0, "full": 1}
    assert SimulateRequest(None, "flat", "out").changes() == {}


def test_the_commands_of_the_laboratory_are_made_of_requests() -> None:
    for command in lab.COMMANDS:
        assert "request" in inspect.signature(inspect.unwrap(command)).parameters


def test_a_request_is_frozen_checked_and_given_on_as_it_is() -> None:
    request = QueryRequest(3, "images", dry_run=True, tasks=("depth",))
    assert request.given() == {"budget": 3, "unit": "images", "tasks": ["depth"], "dry_run": True}
    assert QueryRequest(**request).given() == request.given()
    assert replace(request, dry_run=False, tasks=()).given() == {"budget": 3, "unit": "images"}
    with pytest.raises(FrozenInstanceError):
        request.new = True  # type: ignore[misc]
    for wrong in ({"budget": "3"}, {"unit": "miles"}, {"pairs": -1}, {"tasks": "depth"}):
        with pytest.raises(UsageError, match="must be "):
            QueryRequest(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be "):
        replace(request, budget=float("nan"))


@pytest.mark.parametrize(
    ("request_class", "values", "fault"),
    [
        (
            QueryRequest,
            {"picks": "a.json", "budget": 3},
            "`picks=` cannot be combined with `budget=`",
        ),
        (QueryRequest, {"save": "a.json"}, "`save=` needs `dry_run=`"),
        (ImportRequest, {"labels": ".", "seed": 0}, "`seed=` needs `limit=`"),
        (ImportAnswersRequest, {"url": "u", "cost": 1}, "`cost=` needs `supplier=`"),
        (
            ImportAnswersRequest,
            {"url": "u", "supplier": "s", "split": "val"},
            "`supplier=` cannot be combined with `split=`",
        ),
        (ExportRequest, {"labels": True, "round": 0}, "cannot be combined"),
        (ExportRequest, {"labels": True, "task": ["depth"]}, "cannot be combined"),
    ],
)
def test_fields_that_exclude_each_other_are_refused_by_their_names(
    request_class: type[CommandRequest], values: dict[str, Any], fault: str
) -> None:
    with pytest.raises(UsageError, match=fault) as caught:
        request_class(**values)
    assert "--" not in str(caught.value)


def test_picks_may_be_requested_without_previews() -> None:
    assert QueryRequest(picks="a.json", prelabels=False, control="0").picks == "a.json"


def test_a_method_of_any_class_can_take_a_request() -> None:
    class Owner:
        @takes(SetSplitRequest)
        def put(self, request: SetSplitRequest) -> list[str]:
            """Put.

            Returns:
                words.
            """
            return words_of(request)

    assert Owner().put("train", ["a.png"], was="-x") == ["train", "a.png", "--was=-x"]
    assert Owner.put.__doc__ == (
        "Put.\n\nArgs:\n    split: the split: train, val or test.\n"
        "    images: image ids; empty: all that are in no split.\n"
        "    was: only images of this unknown split; empty: of any.\n\nReturns:\n    words."
    )
    with pytest.raises(TypeError, match="unexpected keyword"):
        Owner().put("train", no=1)  # type: ignore[call-arg]


def test_values_that_say_nothing_are_not_given() -> None:
    for nothing in (0, 0.0, "0"):
        assert QueryRequest(picks="picks.json", control=nothing).given() == {"picks": "picks.json"}
    with pytest.raises(UsageError, match="`picks=` cannot be combined with `unit=`"):
        QueryRequest(picks="picks.json", unit="cost")


def test_an_argument_that_is_not_there_is_that_of_the_method() -> None:
    class Shop:
        @takes(QueryRequest)
        def query(self, request: QueryRequest) -> None:
            """Ask."""

    with pytest.raises(TypeError, match=r"^query\(\) got an unexpected keyword argument 'budjet'"):
        Shop().query(budjet=3)  # type: ignore[call-arg]


def test_numbers_of_numpy_in_a_dictionary_are_python_s() -> None:
    changes = FitRequest(changes={"train.lr": np.float32(0.5)}).changes
    assert changes is not None
    assert type(changes["train.lr"]) is float


def test_what_asks_nothing_is_taken_as_before() -> None:
    assert ImportRequest(["labels"], map=None).given() == {"labels": ["labels"]}

    class Shop:
        @takes(ImportRequest)
        def import_labels(self, request: ImportRequest) -> dict[str, Any]:
            """Import."""
            return request.given()

    assert Shop().import_labels(["labels"], supplier="", url="", token_file=None, cost=None) == {  # type: ignore[call-arg]
        "labels": ["labels"]
    }
    assert QueryRequest(picks="", new=True).given() == {"new": True}


def test_a_positional_argument_too_many_is_not_told_as_another() -> None:
    class Shop:
        @check_values
        def audit(self, *, folds: int = 0) -> int:
            return folds

    with pytest.raises(TypeError, match="positional"):
        Shop().audit(2)  # type: ignore[misc]
