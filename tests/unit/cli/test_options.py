"""Laws of options: what a request says as words is what is asked when the words are typed."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import typer
import typer.main

from labelgrid.api import requests, study
from labelgrid.api.door import MOST_CHARACTERS, Amount, CommandRequest, Count
from labelgrid.api.spelling import spelling, words_of
from labelgrid.basics.errors import UsageError
from labelgrid.cli.exchange import TypedImportRequest
from labelgrid.cli.options import HIDDEN, with_options
from labelgrid.cli.screen import as_options

REQUESTS = [
    each
    for each in (vars(requests) | vars(study)).values()
    if inspect.isclass(each) and issubclass(each, CommandRequest) and each is not CommandRequest
]
#: What a field needs beside it, by its name.
BESIDE: Mapping[str, dict[str, Any]] = {
    "seed": {"limit": 3},
    "save": {"dry_run": True},
    "cost": {"supplier": "net"},
}
#: Fields that go with no other, or name a file that must be there.
UNTRIED = {"labels", "picks", "url", "token_file", "weights"}


def another(kind: Any, default: Any, text: str = "-x y") -> list[Any]:
    """Values of an annotation that are not the default."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else [kind]
    values: list[Any] = []
    for member in members:
        origin = get_origin(member) or member
        if origin is Annotated:
            values += another(get_args(member)[0], default, text)
        elif origin is Literal:
            values += get_args(member)
        elif origin is Mapping:
            values += [{"cost": 2.5, "classes": "a b.txt"}] if get_args(member)[1] is Any else []
        else:
            known = {bool: [not default], int: [7], float: [2.5], str: [text]}
            known |= {Iterable: [[text, "b c"]], Sequence: [[text, "b c"]]}
            values += known.get(origin, [])
    lists = [value for value in values if isinstance(value, list)]
    return [value for value in lists or values if value != default]


def required(request: type[CommandRequest]) -> dict[str, Any]:
    """Values of the fields without which there is no request."""
    values = {}
    for name, field in request.fields().items():
        if field.default is field.empty:
            values[name] = another(field.annotation, None, "a b")[0]
    return values


def typed(request: type[CommandRequest], words: list[str]) -> CommandRequest:
    """What is asked by words."""
    found = []

    def command(**given: Any) -> None:
        found.append(given["request"])

    parameter = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=request)
    command.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    app = typer.Typer()
    app.command()(with_options()(command))
    typer.main.get_command(app)(words, standalone_mode=False)
    return found[0]


@pytest.mark.parametrize("request_class", [*REQUESTS, TypedImportRequest])
def test_the_words_of_a_request_ask_for_the_same(request_class: type[CommandRequest]) -> None:
    base = required(request_class)
    if request_class is TypedImportRequest:
        base = {"labels": ["a"]}
    fields = request_class.fields()
    asked = 0
    for name, field in request_class.fields().items():
        if name in UNTRIED or request_class.spelled.get(name) == HIDDEN:
            continue
        needed = {each: value for each, value in BESIDE.get(name, {}).items() if each in fields}
        text = "-x y" if spelling(name, request_class.spelled.get(name, ""))[0] else "a b"
        for value in another(field.annotation, field.default, text):
            request = request_class(**{**base, **needed, name: value})
            found = typed(request_class, words_of(request))
            assert words_of(found) == words_of(request) and str(found[name]) == str(value)
            asked += 1
    assert asked or not set(fields) - UNTRIED


def test_what_stands_for_a_path_says_whether_it_is_a_file() -> None:
    with pytest.raises(Exception, match="is a directory"):
        typed(requests.QueryRequest, ["--picks", "."])
    with pytest.raises(Exception, match="does not exist"):
        typed(requests.FitRequest, ["--weights", "no.pt"])


def test_help_is_the_first_sentence_in_words_of_the_command_line() -> None:
    def command(request: requests.QueryRequest) -> None:
        """Ask."""

    texts = {}
    for name, parameter in inspect.signature(with_options()(command)).parameters.items():
        texts[name] = get_args(parameter.annotation)[1].help
    assert (
        texts["budget"] == "How much to spend, in --unit; by default what --pairs and --audit take."
    )
    assert texts["tasks"] == "The tasks whose cells may be picked; by default all. Repeatable."
    assert texts["class_name"].startswith("Pick images with the largest share of this class")


def test_help_says_the_bounds_of_numbers() -> None:
    def command(
        request: requests.FitRequest, budget: Amount, count: Count = 3, share: Count | str = "0"
    ) -> None:
        """Ask."""

    own = {"budget": "--budget: much", "count": "--count: many", "share": "--share: a share"}
    shown = with_options(**own)(command)
    texts = {}
    for name, parameter in inspect.signature(shown).parameters.items():
        texts[name] = get_args(parameter.annotation)[1].help
    assert texts["budget"] == r"Much. \[above 0]" and texts["count"] == r"Many. \[from 0 up]"
    assert texts["share"] == "A share."
    assert texts["epochs"].endswith(r" \[from 1 up]") and "[" not in texts["recipe"]


def test_a_value_of_a_mapping_of_texts_stays_a_text() -> None:
    words = ["semseg", "--merge", "ball=1", "--merge", 'box="2"']
    assert typed(requests.ChangeTaskRequest, words)["merge"] == {"ball": "1", "box": "2"}


@pytest.mark.parametrize(
    ("request_class", "words", "named"),
    [
        (requests.ChangeTaskRequest, ["semseg", "--class"], "--class must be a list"),
        (requests.SkipRequest, [], "CELLS must be a list"),
        (requests.CancelRequest, [], "CELLS must be a list"),
        (requests.QueryRequest, ["--like"], "--like must be"),
    ],
)
def test_a_value_that_is_too_long_is_named_as_it_is_typed(
    request_class: type[CommandRequest], words: list[str], named: str
) -> None:
    with pytest.raises(UsageError) as caught:
        typed(request_class, [*words, "x" * (MOST_CHARACTERS + 1)])
    assert as_options(str(caught.value)).startswith(named)
