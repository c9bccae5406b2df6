"""Lists the commands of the page, each with the values a browser may give; paths are excluded."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    TypeAdapter,
    create_model,
    model_validator,
)

from labelgrid.api.door import CommandRequest
from labelgrid.api.reader import ProjectReader
from labelgrid.api.requests import (
    AuditRequest,
    ExportRequest,
    FitRequest,
    ImportRequest,
    LiveRequest,
    QueryRequest,
    ReportRequest,
    ScoreRequest,
)
from labelgrid.api.spelling import words_of
from labelgrid.basics import plugins
from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import atomic_write, write_text
from labelgrid.basics.type_names import Json, Values
from labelgrid.ledger.grid import Unit

#: A key of a recipe.
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*){1,5}")
#: The files that can be sent to be imported, by the ends of their names.
ENDS = (".zip", ".json", ".xml")
#: The file of a job's folder with the picks of a dry run.
PICKS = "picks.json"
#: The folders of a job's folder with the requests that it exported, and with a file that was sent.
REQUEST = "request"
SENT = "sent"
#: The most bytes of the name of a file, without its end.
MOST_BYTES = 150
#: The file of a job's folder with what names of classes mean.
MAP = "names.txt"
_BLOCK = 2**20

Number = Annotated[float, Field(allow_inf_nan=False)]
#: The types, with their limits, of the fields of which a browser may say something.
Fields = Values
#: Fields that a browser must say, whatever their default is.
REQUIRED = ("budget",)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name has printable characters alone")
    return text


def _names(text: str) -> str:
    """A map of names as the lines of a file; a single line may hold pairs between commas."""
    lines = text.splitlines()
    if len(lines) == 1 and text.count("=") > 1:
        lines = text.split(",")
    pairs = [line.strip() for line in lines if line.strip()]
    if not all("=" in pair for pair in pairs):
        raise ValueError("what a name means is NAME=CLASS, a pair a line")
    return "".join(f"{_printable(pair)}\n" for pair in pairs)


def _tool(name: str) -> str:
    if name and name not in plugins.names("tools"):  # never "package.module:build"
        raise ValueError("there is no such labelling tool")
    return name


Tool = Annotated[str, AfterValidator(_tool)]


def _keys(changes: Mapping[str, float]) -> Mapping[str, float]:
    if not all(map(KEY.fullmatch, changes)):
        raise ValueError("a key is that of a recipe, such as train.batch")
    return changes


class Order(BaseModel):
    """A command of the page with the values that a browser may give. Others are refused."""

    model_config = ConfigDict(extra="forbid")
    command: str

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """The arguments of the command, without the project's folder.

        Args:
            project: the project.
            folder: the job's folder, for its own files.

        Raises:
            UsageError: what was said is not of this project.
            ProjectError: a folder leads out of the project.
        """
        names = self.model_fields_set - {"command"}
        said = {}
        for name in names:
            if getattr(self, name) != "":
                said[name] = getattr(self, name)
        started = STARTED[self.command]
        return words_of(started.request(**started.complete(said, project, folder)))

    def again(self, number: int) -> Json:
        """The values of an order that does the same again; `number` is the resumed job's."""
        del number
        return self.model_dump(mode="json", exclude_unset=True)


def _model(name: str, request: type[CommandRequest], fields: Fields, bases: Any) -> Any:
    model_fields: Json = {}
    for field_name, kind in fields.items():
        default = ... if field_name in REQUIRED else request.fields()[field_name].default
        meaning = WORDS.get(field_name) or request.meanings()[field_name]
        model_fields[field_name] = (kind, Field(default, description=meaning))
    return create_model(name, __base__=bases, **model_fields)


#: What fields mean on the page, where a browser may say less of them.
WORDS = {
    "budget": "How much to spend, in the unit.",
    "changes": "Overrides of the recipe, such as train.batch: 8; numbers and switches alone.",
    "format": "The labelling tool of the file; empty: the one that recognises it.",
    "keep": "Which of several answers for an image counts; empty: they are refused.",
    "leave_out": "Go on without entries that are wrong.",
    "map": "What names of classes mean: 'car=vehicle,person=ignore', or a pair a line.",
    "to": "The labelling tool.",
}
#: What a person says of labels to import.
CHOICES: Fields = {
    "rest": Annotated[str, AfterValidator(_printable), Field(max_length=200)],
    "map": Annotated[str, AfterValidator(_names), Field(max_length=20_000)],
    "keep": Literal["", "first", "last"],
    "replace": bool,
    "accept": bool,
    "leave_out": bool,
}
ImportChoices: Any = _model("ImportChoices", ImportRequest, CHOICES, BaseModel)


class ImportFile(Order, ImportChoices):
    """Import a sent file under its name without folders."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    file: Annotated[BinaryIO, SkipValidation]
    format: str = ""
    command: Literal["import"] = "import"

    def again(self, number: int) -> Json:
        """As `Order.again`: the file is that of the job."""
        said = self.model_dump(mode="json", exclude_unset=True, exclude={"name", "file"})
        return {"command": self.command, "job": number, **said}


class ImportPlace(ImportChoices):
    """Import from a round's folder of requests, or a job's file again."""

    round: int | None = Field(None, ge=0, le=9999, description="Whose folder is imported.")
    job: int | None = Field(None, ge=1, le=10**9, description="Whose file is imported again.")

    @model_validator(mode="after")
    def _check_place(self) -> "ImportPlace":
        if (self.round is None) == (self.job is None):
            raise ValueError("an import is of a round or of a job")
        return self


@dataclass(frozen=True, kw_only=True)
class Started:
    """What the page may start.

    Args:
        summary: what the command does.
        request: what it is asked.
        fields: what a browser may say. No path is among them.
        complete: a function that adds what the page alone knows, such as paths, to the request; it
            gets the project and the job's folder.
        base: the class of orders, with more fields.
        stays: it goes on beside other jobs, until nothing is new.
    """

    summary: str
    request: type[CommandRequest]
    fields: Fields = field(default_factory=dict)
    complete: Callable[[Json, ProjectReader, Path], Json] = lambda said, *_: said
    base: Any = BaseModel
    stays: bool = False

    def order_class(self, command: str) -> Any:
        """The class of the orders of a command."""
        word: Any = Literal
        base = create_model("Named", __base__=(Order, self.base), command=(word[command], ...))
        order_class = _model(f"{command.title()}Order", self.request, self.fields, base)
        order_class.__doc__ = self.summary
        return order_class


def _keep_picks(said: Json, project: ProjectReader, folder: Path) -> Json:
    if said.get("dry_run"):
        return {**said, "save": folder.absolute() / PICKS}
    return said


def _place_requests(said: Json, project: ProjectReader, folder: Path) -> Json:
    """Write the requests into the folders of their rounds, or for a tool into the job's."""
    task = said.get("task", "")
    if task and task not in project.tasks:
        raise UsageError(f"The project has no task '{task:.80}'.", unchanged="Nothing was started.")
    if said.get("to", "folder") == "folder" and not task:
        return {}
    return {**said, "out": folder.absolute() / REQUEST}


def _find_labels(said: Json, project: ProjectReader, folder: Path) -> Json:
    """Say where the labels are: a round's folder of requests, or a file that was sent."""
    name = said.pop("name", "")
    file = said.pop("file", None)
    round = said.pop("round", None)
    job = said.pop("job", 0)
    if file is not None:
        source = _keep_file(name, file, said.get("format", ""), folder)
    elif round is None:
        source = sent_file(project, job)
    else:
        source = request_folder(project, round)  # its requests may be answered
        if not source.is_dir():
            raise UsageError(
                f"Round {round} has no folder of requests to import.",
                next_step="Export the requests first.",
                unchanged="Nothing was started.",
            )
    if "map" in said:
        path = folder.absolute() / MAP
        write_text(path, said["map"])
        said["map"] = str(path)
    return {"labels": [str(source)], **said}


def _name_server(said: Json, project: ProjectReader, folder: Path) -> Json:
    return {**said, "server": os.getpid()}


def _keep_file(name: str, file: BinaryIO, format: str, folder: Path) -> Path:
    if format and format not in plugins.names("tools"):
        raise UsageError(
            f"There is no labelling tool '{format:.80}'.",
            next_step=f"There are: {', '.join(plugins.names('tools'))}.",
            unchanged="Nothing was started.",
        )
    end = next((end for end in ENDS if name.lower().endswith(end)), None)
    if end is None:
        raise UsageError(
            f"A file to import ends in {', '.join(ENDS)}. Found '{name:.80}'.",
            next_step="Pack a folder as a zip file.",
            unchanged="Nothing was started.",
        )
    target = folder / SENT / file_name(name, end)
    target.parent.mkdir()
    with atomic_write(target) as temporary, temporary.open("wb") as written:
        while block := file.read(_BLOCK):
            written.write(block)
    return target


#: The commands that the page can start.
STARTED = {
    "fit": Started(
        summary="Train on all labels, and measure.",
        request=FitRequest,
        fields={
            "epochs": Annotated[int, Field(ge=1, le=100_000)] | None,
            "changes": Annotated[
                dict[str, bool | int | Number], AfterValidator(_keys), Field(max_length=50)
            ],
        },
    ),
    "score": Started(summary="Score the pool with the newest model.", request=ScoreRequest),
    "query": Started(
        summary="Pick cells within a budget.",
        request=QueryRequest,
        fields={
            "budget": Annotated[Number, Field(gt=0)],
            "unit": Unit,
            "new": bool,
            "dry_run": bool,
        },
        complete=_keep_picks,
    ),
    "export": Started(
        summary="Write the open requests for a labelling tool.",
        request=ExportRequest,
        fields={"to": Tool, "task": str},
        complete=_place_requests,
    ),
    "import": Started(
        summary="Import answers to a round's requests, or again a job's file.",
        request=ImportRequest,
        fields={"format": Tool},
        complete=_find_labels,
        base=ImportPlace,
    ),
    "audit": Started(
        summary="Rank the labels by how likely they are wrong.",
        request=AuditRequest,
        fields={"folds": Annotated[int, Field(ge=0, le=100)]},
    ),
    "report": Started(summary="Write the report of the project.", request=ReportRequest),
    "live": Started(
        summary="Learn while labelling, until the page's server ends.",
        request=LiveRequest,
        complete=_name_server,
        stays=True,
    ),
}
#: The commands that go on beside others.
STAYING = frozenset(name for name, started in STARTED.items() if started.stays)
ORDERS = tuple(started.order_class(command) for command, started in STARTED.items())
#: What a browser may say of any command, by name.
NAMES = {name for order in ORDERS for name in order.model_fields} - {"command"}
if TYPE_CHECKING:
    AnyOrder = Order
else:
    AnyOrder = Annotated[Union[ORDERS], Field(discriminator="command")]  # noqa: UP007
_ORDERS: TypeAdapter[Order] = TypeAdapter(AnyOrder)


@dataclass(frozen=True)
class ReadyOrder:
    """A command of the page's own, which nobody starts again."""

    command: str
    request: CommandRequest

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `Order.words`."""
        del project, folder
        return words_of(self.request)

    def again(self, number: int) -> Json:
        """Nothing: no order."""
        del number
        return {}


def sent_file(project: ProjectReader, number: int) -> Path:
    """The file that was sent to a job.

    Raises:
        UsageError: none was.
        ProjectError: its folder leads out of the project.
    """
    folder = project.disk.inside(f"jobs/{number:04d}/{SENT}")
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in entries if path.is_file() and not path.is_symlink()]
    if len(files) != 1:
        raise UsageError(
            f"Job {number} has no file to import.",
            next_step="Send the file again.",
            unchanged="Nothing was started.",
        )
    return files[0]


def file_name(name: str, end: str) -> str:
    r"""The name of a file from a browser on this disk: without folders, no option.

    Example:
        >>> file_name("C:\\photos\\room 4.ZIP", ".zip"), file_name("../../.zip", ".zip")
        ('room 4.zip', 'answer.zip')
    """
    last = re.split(r"[/\\]", name)[-1][: -len(end)]
    printable = "".join(letter if letter.isprintable() else "_" for letter in last)
    kept = printable.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")
    return (kept.strip(" .-") or "answer") + end


def request_folder(project: ProjectReader, round: int) -> Path:
    """The folder to which a round's requests are exported.

    Raises:
        ProjectError: it leads out of the project.
    """
    return project.disk.inside(f"rounds/{round:04d}/request")


def order_of(values: Mapping[str, object]) -> Order:
    """The order of some values, also texts of a form; empty values are left out.

    Raises:
        pydantic.ValidationError: there is no such command, or an argument is wrong.
    """
    return _ORDERS.validate_python({key: value for key, value in values.items() if value != ""})
