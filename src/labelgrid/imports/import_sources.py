"""Finds out the formats of an import's sources, and reads each file, folder or server."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from labelgrid.annotate.answers import (
    Answer,
    Answers,
    Fault,
    Skip,
    join_answers,
    put_below,
    put_in_file,
)
from labelgrid.annotate.connector import Connector, ProjectIndex, ToolServer
from labelgrid.annotate.manifest import LABELS
from labelgrid.annotate.matching import LINK, links_outside
from labelgrid.annotate.unknown_answers import can_hold_labels, refuse_unknown
from labelgrid.annotate.unpacking import inner_folder, unpacked
from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelError, UsageError, command
from labelgrid.basics.files import walk
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.recognition import Recognition, recognitions
from labelgrid.ledger.grid import Split
from labelgrid.operations.dataset_labels import answers_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.storage.addresses import Address
from labelgrid.storage.objects import download
from labelgrid.tasks.task import TaskDef

#: The connector of labels that are plain files.
_PLAIN = "folder"
#: Of more files in a folder, none is asked whether it is another tool's.
_FEW = 20
#: What an import reads: a file or folder, objects of a store, or the server of a labelling tool.
Source = Path | Address | ToolServer


@contextmanager
def open_sources(
    given: Source | Sequence[Source], progress: Progress | None = None
) -> Iterator[list[tuple[Source, Source]]]:
    """Each source as it was given, and fetched and unpacked for a while.

    Raises:
        LabelError: a zip file cannot be unpacked.
        StorageError: there are no such objects, or their store refuses or does not answer.
    """
    sources = [given] if isinstance(given, Path | Address | ToolServer) else list(given)
    pairs = []
    with ExitStack() as stack:
        for source in sources:
            answer: Source = source
            if isinstance(source, Address):
                folder = stack.enter_context(TemporaryDirectory(prefix="labelgrid-"))
                answer = download(source, Path(folder), progress or Silent())
            if isinstance(answer, Path):
                answer = stack.enter_context(unpacked(answer, progress or Silent()))
            pairs.append((source, answer))
        yield pairs


class ImportSources:
    """The sources of one import.

    Args:
        project: the project that gets the labels.
        sources: each as it was given, and unpacked.
        format: the format of all sources, as in `import_labels`.
        split: as in `import_labels`.
        index: the project's tasks, images and requests.
    """

    def __init__(
        self,
        project: ProjectFolder,
        sources: Sequence[tuple[Source, Source]],
        *,
        format: str | None,
        split: Split | None,
        index: ProjectIndex,
    ) -> None:
        named = frozenset(given.resolve() for given, _ in sources if isinstance(given, Path))
        self._sources = [
            _ImportSource(
                project=project,
                given=given,
                answer=answer,
                format=format,
                split=split,
                index=index,
                named=named,
            )
            for given, answer in sources
        ]

    def receive(self, progress: Progress) -> Answers:
        """The answers in all of them; where there are several, names of files begin with theirs.

        Raises:
            LabelError: one holds no answer.
            PluginError: there is no such format.
            UsageError: the format has no server.
        """
        if len(self._sources) == 1:
            return self._sources[0].receive(progress)
        return join_answers([source.receive_named(progress) for source in self._sources])

    def describe(self) -> str:
        """The sources in the words of the tools."""
        texts = [source.describe() for source in self._sources]
        return "; ".join(dict.fromkeys(texts))


@dataclass(kw_only=True)
class _ImportSource:
    """One source, with the arguments of `ImportSources`; `named` are the paths of all sources."""

    project: ProjectFolder
    given: Source
    answer: Source
    format: str | None
    split: Split | None
    index: ProjectIndex
    named: frozenset[Path]

    def receive_named(self, progress: Progress) -> Answers:
        answers = self.receive(progress)
        if not isinstance(self.answer, Path):
            return answers
        if self.answer.is_dir():
            return put_below(f"{self.given}/", answers)
        above, slash, name = str(self.given).rpartition("/")
        return put_below(above + slash, put_in_file(name, answers))

    def receive(self, progress: Progress) -> Answers:
        """Download the answers of a server, or read those of a file, a folder or a data set."""
        self.index.progress = progress
        if isinstance(self.answer, ToolServer):
            return self._download(self.answer, progress)
        answer = Path(self.answer)
        if self.format:
            return self._read_as(self.format, answer)
        place, tools = self._place
        if not tools:
            refuse_unknown(place, Path(str(self.given)), list(self.connectors), self.index)
        tool = next(iter(tools), _PLAIN)
        answers = self._read_as(tool, place)
        others = self._files_of_others(tool, place)
        stray = list(dict.fromkeys([*answers.stray, *others]))
        # The tool may have tried to read them, too.
        answers.faults = [fault for fault in answers.faults if fault.where not in others]
        answers.stray = []
        unnamed = [name for name in stray if (place / name).resolve() not in self.named]
        answers = join_answers([answers, *(self._read_stray(place, name) for name in unnamed)])
        answers = join_answers([answers, *self._labels_beside(answers, place)])
        if place != answer:
            answers.notes.append(f"Read below {place.relative_to(answer).as_posix()}/.")
        return answers

    def _download(self, server: ToolServer, progress: Progress) -> Answers:
        tool = self.format or "folder"
        connector: Connector = plugins.create("tools", tool)
        if not hasattr(connector, "download"):
            raise UsageError(
                f"'{tool}' has no server: --url cannot be used.",
                next_step="Name a file or folder, or use --format label-studio.",
            )
        return connector.download(server, self.index.of_format(tool), progress)

    def _read_as(self, format: str, answer: Path) -> Answers:
        build = plugins.resolve_in_folders(("tools", "layouts"), format)
        if needs_root(build):
            dataset = plugins.call("layouts", format, build, answer)
            return answers_of(dataset, self.project, self.split, str(answer))
        connector: Connector = plugins.call("tools", format, build)
        return connector.receive(answer, self.index.of_format(format))

    def _files_of_others(self, tool: str, place: Path) -> list[str]:
        """The files right in a folder that another tool wrote.

        In a folder with very many files none is listed: the tool itself wrote so many.
        """
        if tool == _PLAIN or not place.is_dir():
            return []
        files = sorted(path for path in place.iterdir() if path.is_file())
        if len(files) > _FEW:
            return []
        others = []
        for path in files:
            tools = recognitions(self.connectors, path)
            if (tools and tool not in tools) or path.suffix.lower() == ".zip":
                others.append(path.name)
        return others

    def _labels_beside(self, answers: Answers, place: Path) -> Iterator[Answers]:
        """The labels in folders of tasks, without folders of a tool."""
        rows: list[Answer | Skip | Fault] = [*answers.labels, *answers.skips, *answers.faults]
        read = {*(row.where for row in rows), *answers.removed, *answers.closed}
        for name in (*self.index.tasks, *(f"{LABELS}/{task}" for task in self.index.tasks)):
            folder = place / name
            is_read = any(where.startswith(f"{name}/") for where in read)
            if is_read or not folder.is_dir() or recognitions(self.connectors, folder):
                continue
            if links_outside(place, name):
                advice = "Copy the labels themselves into the folder."
                yield Answers(faults=[Fault(name, LINK, advice)])
            elif _holds_labels_of(folder, self.index.tasks[folder.name]):
                index = self.index.of_task(folder.name)
                yield put_below(f"{name}/", self.connectors[_PLAIN].receive(folder, index))

    def _read_stray(self, place: Path, name: str) -> Answers:
        path = place / name
        recognised = recognitions(self.connectors, path)
        advice = f"Next: `{command('import', self.project.folder, path)}`."
        if self.answer != self.given:
            advice = f"Unpack {self.given}, and import it by itself."
        if path.suffix.lower() == ".zip":
            return Answers(stray=[name], notes=[f"{name} is a zip file. {advice}"])
        for tool, recognition in recognised.items():
            try:
                answers = self.connectors[tool].receive(path, self.index.of_format(tool))
            except LabelError as error:
                note = f"{name} looks like {recognition.what}, and is left out: {error.what}"
                return Answers(stray=[name], notes=[f"{note} {advice}"])
            folder = name.rpartition("/")[0]
            answers = put_in_file(path.name, answers)
            answers = put_below(f"{folder}/" if folder else "", answers)
            answers.notes.append(f"{name} was read as {recognition.what}.")
            return answers
        return Answers(stray=[name])

    def describe(self) -> str:
        if isinstance(self.answer, ToolServer):
            return str(self.answer)
        recognised = self._place[1]
        if self.format and self.format not in recognised:
            return f"labels in the format '{self.format}'"
        tool = self.format or next(iter(recognised), "")
        if tool:
            return recognised[tool].what
        return "a folder of labels"

    @cached_property
    def connectors(self) -> dict[str, Connector]:
        return {name: plugins.create("tools", name) for name in plugins.names("tools")}

    @cached_property
    def _place(self) -> tuple[Path, dict[str, Recognition]]:
        """The path of the answer, and the tools that recognise the answer, the surest first.

        The source itself, unless the source only holds a folder with an answer.
        """
        answer = Path(str(self.answer))
        if self.format:
            return answer, recognitions(self.connectors, answer)
        place: Path | None = answer
        while place is not None:
            recognised = self._recognise(place)
            if recognised is not None:
                return place, recognised
            place = inner_folder(place)
        return answer, {}

    def _recognise(self, place: Path) -> dict[str, Recognition] | None:
        """The tools that recognise a place by content, otherwise by names alone.

        For a folder of labels there may be no format; None: it is no answer.
        """
        recognised = recognitions(self.connectors, place)
        if recognised or can_hold_labels(place, self.index):
            return recognised
        for name, connector in self.connectors.items():
            by_names = getattr(connector, "recognise_names", None)
            recognition = by_names(place, self.index) if by_names else None
            if recognition:
                recognised[name] = recognition
        return recognised or None


def _holds_labels_of(folder: Path, task: TaskDef) -> bool:
    extensions = task.codec.EXTENSIONS
    for _, _, names in walk(folder):
        if any(PurePath(name).suffix.lower() in extensions for name in names):
            return True
    return False


def needs_root(build: Callable[..., object]) -> bool:
    """Whether a plug-in's `build` needs an argument, as a data set's layout needs its root.

    Example:
        >>> needs_root(plugins.resolve("layouts", "folder"))
        True
        >>> needs_root(plugins.resolve("tools", "folder"))
        False
    """
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # of an object that cannot be called, or of a built-in function
        return False
    for parameter in parameters:
        is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_variadic:
            return True
    return False
