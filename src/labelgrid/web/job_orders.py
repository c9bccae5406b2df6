"""Says which commands the page can start, and with which arguments; no path is one of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    TypeAdapter,
    field_validator,
    model_validator,
)

from labelgrid.api.reader import ProjectReader
from labelgrid.basics import plugins
from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import atomic_write, write_text
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
Positive = Annotated[Number, Field(gt=0)]


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


class _Order(BaseModel):
    """What all commands share: unknown arguments are refused."""

    model_config = ConfigDict(extra="forbid")

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """The arguments of the command, without the project's folder.

        Args:
            project: the project.
            folder: the job's folder, for its own files.
        """
        return []

    def again(self, number: int) -> dict[str, Any]:
        """The values of an order that does the same again; `number` is that of this one's job."""
        del number
        return self.model_dump(mode="json", exclude_unset=True)


class FitOrder(_Order):
    """Train on all labels, and measure."""

    command: Literal["fit"]
    epochs: int | None = Field(None, ge=1, le=100_000, description="None: the recipe's.")
    changes: dict[str, bool | int | Number] = Field(
        default_factory=dict,
        max_length=50,
        description="Overrides of the recipe, such as train.batch: 8; numbers and switches alone.",
    )

    @field_validator("changes")
    @classmethod
    def _check_keys(cls, changes: Mapping[str, float]) -> Mapping[str, float]:
        wrong = next((key for key in changes if not KEY.fullmatch(key)), None)
        if wrong is not None:
            raise ValueError("a key is that of a recipe, such as train.batch")
        return changes

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`."""
        words = ["--epochs", str(self.epochs)] if self.epochs else []
        for key, value in self.changes.items():
            text = str(value).lower() if isinstance(value, bool) else repr(value)
            words += ["--set", f"{key}={text}"]
        return words


class ScoreOrder(_Order):
    """Score the pool with the newest model."""

    command: Literal["score"]


class QueryOrder(_Order):
    """Pick cells within a budget."""

    command: Literal["query"]
    budget: Positive
    unit: Unit = "labels"
    new: bool = Field(False, description="Request further cells while the last are unanswered.")
    dry_run: bool = Field(False, description="Show the picks and request nothing.")

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`."""
        words = ["--budget", f"{self.budget:.12g}", "--unit", self.unit]
        words += ["--new"] if self.new else []
        keep = ["--dry-run", "--save", str(folder.absolute() / PICKS)]
        return [*words, *keep] if self.dry_run else words


class ExportOrder(_Order):
    """Write the open requests: into the folders of their rounds, or for a tool into the job's."""

    command: Literal["export"]
    to: Annotated[str, AfterValidator(_tool)] = Field("folder", description="The labelling tool.")
    task: str = Field("", description="Its requests alone; empty: all.")

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`.

        Raises:
            UsageError: there is no such task.
        """
        if self.task and self.task not in project.tasks:
            raise UsageError(
                f"The project has no task '{self.task:.80}'.", unchanged="Nothing was started."
            )
        if self.to == "folder" and not self.task:
            return []
        task = ["--task", self.task] if self.task else []
        return ["--to", self.to, "--out", str(folder.absolute() / REQUEST), *task]


class ImportChoices(BaseModel):
    """What a person says of labels to import."""

    rest: Annotated[str, AfterValidator(_printable)] = Field(
        "", max_length=200, description="The class of what no region covers."
    )
    map: Annotated[str, AfterValidator(_names)] = Field(
        "",
        max_length=20_000,
        description="What names of classes mean: 'car=vehicle,person=ignore', or a pair a line.",
    )
    keep: Literal["", "first", "last"] = Field(
        "", description="Which of several answers for an image counts; empty: they are refused."
    )
    replace: bool = Field(False, description="Replace labels; the old versions are kept.")
    accept: bool = Field(False, description="Import labels although they look wrong.")
    leave_out: bool = Field(False, description="Go on without entries that are wrong.")

    def options(self, folder: Path) -> list[str]:
        """The options of the command, in one word each; the map is a file of a folder."""
        words = [f"--rest={self.rest}"] if self.rest else []
        if self.map:
            path = folder.absolute() / MAP
            write_text(path, self.map)
            words.append(f"--map={path}")
        if self.keep:
            words.append(f"--keep={self.keep}")
        ticked = {"--replace": self.replace, "--accept": self.accept, "--leave-out": self.leave_out}
        return [*words, *(word for word, is_ticked in ticked.items() if is_ticked)]


class ImportOrder(_Order, ImportChoices):
    """Import what lies in the folder to which a round's requests were exported.

    Or again the file that was sent to a job.
    """

    command: Literal["import"]
    round: int | None = Field(None, ge=0, le=9999, description="Whose folder is imported.")
    job: int | None = Field(None, ge=1, le=10**9, description="Whose file is imported again.")
    format: Annotated[str, AfterValidator(_tool)] = Field(
        "", description="The tool of the file; empty: the one that recognises it."
    )

    @model_validator(mode="after")
    def _check_place(self) -> "ImportOrder":
        if (self.round is None) == (self.job is None):
            raise ValueError("an import is of a round or of a job")
        return self

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`.

        Raises:
            UsageError: the round was not exported, or no file was sent to the job.
            ProjectError: its folder leads out of the project.
        """
        format = ["--format", self.format] if self.format else []
        return [str(self._place(project)), *format, *self.options(folder)]

    def _place(self, project: ProjectReader) -> Path:
        if self.round is None:
            return sent_file(project, self.job or 0)
        request = request_folder(project, self.round)
        if not request.is_dir():
            raise UsageError(
                f"Round {self.round} has no folder of requests to import.",
                next_step="Export the requests first.",
                unchanged="Nothing was started.",
            )
        return request


class AuditOrder(_Order):
    """Rank the labels by how likely they are wrong."""

    command: Literal["audit"]
    folds: int = Field(0, ge=0, le=100)

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`."""
        return ["--folds", str(self.folds)]


class ReportOrder(_Order):
    """Write the report of the project."""

    command: Literal["report"]


Order = Annotated[
    FitOrder | ScoreOrder | QueryOrder | ExportOrder | ImportOrder | AuditOrder | ReportOrder,
    Field(discriminator="command"),
]
_ORDERS: TypeAdapter[Any] = TypeAdapter(Order)


class ImportFile(ImportChoices):
    """Import a file that was sent; its name is kept, without folders."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    file: Annotated[BinaryIO, SkipValidation]
    format: str = ""
    command: Literal["import"] = "import"

    def words(self, project: ProjectReader, folder: Path) -> list[str]:
        """As `_Order.words`; keeps the file in the job's folder.

        Raises:
            UsageError: it is of another sort, or there is no such connector.
        """
        if self.format and self.format not in plugins.names("tools"):
            raise UsageError(
                f"There is no labelling tool '{self.format:.80}'.",
                next_step=f"There are: {', '.join(plugins.names('tools'))}.",
                unchanged="Nothing was started.",
            )
        end = next((end for end in ENDS if self.name.lower().endswith(end)), None)
        if end is None:
            raise UsageError(
                f"A file to import ends in {', '.join(ENDS)}. Found '{self.name:.80}'.",
                next_step="Pack a folder as a zip file.",
                unchanged="Nothing was started.",
            )
        target = folder / SENT / file_name(self.name, end)
        target.parent.mkdir()
        with atomic_write(target) as temporary, temporary.open("wb") as written:
            while block := self.file.read(_BLOCK):
                written.write(block)
        format = ["--format", self.format] if self.format else []
        return [str(target), *format, *self.options(folder)]

    def again(self, number: int) -> dict[str, Any]:
        """As `_Order.again`: the file is that of the job."""
        said = self.model_dump(mode="json", exclude_unset=True, exclude={"name", "file"})
        return {"command": self.command, "job": number, **said}


def sent_file(project: ProjectReader, number: int) -> Path:
    """The file that was sent to a job.

    Raises:
        UsageError: none was.
        ProjectError: its folder leads out of the project.
    """
    folder = project.disk.inside(f"jobs/{number:04d}/{SENT}")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    if len(files) != 1:
        raise UsageError(
            f"Job {number} has no file to import.",
            next_step="Send the file again.",
            unchanged="Nothing was started.",
        )
    return files[0]


def file_name(name: str, end: str) -> str:
    r"""The name under which a file is kept that a browser sends: without folders, no option.

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


def order_of(values: Mapping[str, object]) -> Any:
    """The order of these values, which may be texts of a form; empty ones are left out.

    Raises:
        pydantic.ValidationError: there is no such command, or an argument is wrong.
    """
    return _ORDERS.validate_python({key: value for key, value in values.items() if value != ""})
