"""Says which commands the page can start, and with which arguments; no path is one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from labelgrid import plugins
from labelgrid.api.project import Project
from labelgrid.errors import UsageError
from labelgrid.files import atomic_write
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
_BLOCK = 2**20

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]


class _Order(BaseModel):
    """What all commands share: unknown arguments are refused."""

    model_config = ConfigDict(extra="forbid")

    def words(self, project: Project, folder: Path) -> list[str]:
        """The arguments of the command, without the project's folder.

        Args:
            project: the project.
            folder: the job's folder, for its own files.
        """
        return []


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

    def words(self, project: Project, folder: Path) -> list[str]:
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

    def words(self, project: Project, folder: Path) -> list[str]:
        """As `_Order.words`."""
        words = ["--budget", f"{self.budget:.12g}", "--unit", self.unit]
        words += ["--new"] if self.new else []
        keep = ["--dry-run", "--save", str(folder.absolute() / PICKS)]
        return [*words, *keep] if self.dry_run else words


class ExportOrder(_Order):
    """Write the open requests: into the folders of their rounds, or for a tool into the job's."""

    command: Literal["export"]
    to: str = Field("folder", description="The labelling tool.")
    task: str = Field("", description="Its requests alone; empty: all.")

    @field_validator("to")
    @classmethod
    def _check_tool(cls, to: str) -> str:
        if to not in plugins.names("tools"):  # never "package.module:build"
            raise ValueError("there is no such labelling tool")
        return to

    def words(self, project: Project, folder: Path) -> list[str]:
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


class ImportOrder(_Order):
    """Import what lies in the folder to which a round's requests were exported."""

    command: Literal["import"]
    round: int = Field(ge=0, le=9999)
    rest: str = Field("", max_length=200, description="The class of what no region covers.")
    leave_out: bool = Field(False, description="Go on without entries that are wrong.")

    def words(self, project: Project, folder: Path) -> list[str]:
        """As `_Order.words`.

        Raises:
            UsageError: the round was not exported.
            ProjectError: its folder leads out of the project.
        """
        request = request_folder(project, self.round)
        if not request.is_dir():
            raise UsageError(
                f"Round {self.round} has no folder of requests to import.",
                next_step="Export the requests first.",
                unchanged="Nothing was started.",
            )
        return [str(request), *_import_words(self.rest, self.leave_out)]


class AuditOrder(_Order):
    """Rank the labels by how likely they are wrong."""

    command: Literal["audit"]
    folds: int = Field(0, ge=0, le=100)

    def words(self, project: Project, folder: Path) -> list[str]:
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


@dataclass(frozen=True, kw_only=True)
class ImportFile:
    """Import a file that was sent.

    Args:
        name: of the file; it is kept, without folders.
        file: its content.
        format: the name of the connector that reads it; empty: the one that recognises it.
        rest: the class of what no region covers; empty: what is kept.
        leave_out: go on without entries that are wrong.
    """

    name: str
    file: BinaryIO
    format: str = ""
    rest: str = ""
    leave_out: bool = False
    command: Literal["import"] = "import"

    def words(self, project: Project, folder: Path) -> list[str]:
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
        return [str(target), *format, *_import_words(self.rest, self.leave_out)]


def _import_words(rest: str, leave_out: bool) -> list[str]:
    """The options of an import, in one word each."""
    words = [f"--rest={rest}"] if rest else []
    return [*words, "--leave-out"] if leave_out else words


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


def request_folder(project: Project, round: int) -> Path:
    """The folder to which a round's requests are exported.

    Raises:
        ProjectError: it leads out of the project.
    """
    return project.inside(f"rounds/{round:04d}/request")


def order_of(values: Mapping[str, object]) -> Any:
    """The order of these values, which may be texts of a form; empty ones are left out.

    Raises:
        pydantic.ValidationError: there is no such command, or an argument is wrong.
    """
    return _ORDERS.validate_python({key: value for key, value in values.items() if value != ""})
