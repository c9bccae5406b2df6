"""Imports labels: all in one ledger transaction, or none and a list of faults."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from labelgrid.annotate.answers import SHOWN, Answers, Fault, ImportRefused
from labelgrid.annotate.connector import ProjectIndex, ToolServer
from labelgrid.annotate.import_options import IGNORE, ImportOptions
from labelgrid.annotate.repeated_answers import keep_one
from labelgrid.annotate.uncovered import background_of
from labelgrid.basics import files
from labelgrid.basics.errors import (
    LabelError,
    LabelgridError,
    LedgerError,
    ProjectError,
    UsageError,
    command,
)
from labelgrid.basics.files import write_bytes
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.batch_doubts import Summaries
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.class_meanings import keep_names, keep_rest, names_note
from labelgrid.imports.copy_labels import LABELS, copy_labels
from labelgrid.imports.import_doubts import SHEET, refuse_doubted
from labelgrid.imports.import_numbers import OCCURRED, ImportNumbers, drawn_images
from labelgrid.imports.import_place import import_place
from labelgrid.imports.import_sources import ImportSources, Source, open_sources
from labelgrid.imports.imported import Found, Imported, Tally
from labelgrid.imports.validate_labels import (
    UNCHANGED,
    AcceptedLabel,
    ValidatedLabels,
    validate_labels,
)
from labelgrid.ledger.grid import Cell, Move, Split, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef

#: Where a folder has its labels.
WANTED = "Put labels where its manifest says, or at TASK/IMAGE.png."
#: So many files that are no labels are named.
FEW = 5
#: The file that lists the faults of a refused import, in its `import_place`.
FAULTS = "import-faults.txt"
#: The file there that lists what was left out.
LEFT_OUT = "import-left-out.txt"
#: The files there that show labels of the last import, and of the last dry run.
PICTURE = "import.png"
DRY_PICTURE = "import-dry-run.png"


def import_labels(
    project: ProjectFolder,
    source: Source | Sequence[Source],
    *,
    format: str | None = None,
    split: Split | None = None,
    replace: bool = False,
    accept: bool = False,
    limit: int = 0,
    seed: int = 0,
    options: ImportOptions | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Import labels, all of them or none.

    Importing again changes nothing, and a killed import changes no cell. Numbers of the new labels
    are gathered while they are checked, and some are drawn.

    Files are copied first, under names with a part of the content's hash. So no file is ever
    overwritten, except a damaged file by the correct one. Then one ledger transaction labels all
    cells.

    Args:
        project: the project that gets the labels.
        source: the answer of a labelling tool (a folder, a file or a zip file), a folder of labels,
            or a data set's root; or the tool's server; or several of these.
        format: a connector of `labelgrid.annotate`, a layout of `labelgrid.data`, or
            "package.module:build" of either. None: the connector that recognises the labels, else
            "folder".
        split: moves the labels' images (and all others of their groups) into this split.
        replace: replace labels of cells that have another label; the old file and event are kept.
        accept: import labels that look wrong; see `import_doubts.refuse_doubted`.
        limit: import only this many images, drawn with `seed`; 0: all.
        seed: the seed of that draw.
        options: what a person says about the answer.
        dry_run: change nothing but a picture, and return what would be imported or refused.
        progress: reports each file.

    Raises:
        ImportRefused: lists every fault, or why labels look wrong.
        LabelError: there is no label.
        PluginError: there is no such format.
        ProjectError: the disk reports an error.
        LedgerError: the ledger cannot be written. No cell was changed.
    """
    if limit < 0:
        raise UsageError(f"--limit must not be below 0. Found {limit}.", unchanged=UNCHANGED)
    placed = import_place(project.folder)
    with placed as place, project.store.steady(), open_sources(source, progress) as sources:
        run = LabelImport(
            project=project,
            place=place,
            sources=sources,
            format=format,
            split=split,
            replace=replace,
            accept=accept,
            limit=limit,
            seed=seed,
            index=ProjectIndex(project.store, project.tasks(), options or ImportOptions()),
            progress=progress or Silent(),
        )
        if dry_run:
            return run.try_out()
        return run.carry_out()


@dataclass(kw_only=True)
class LabelImport:
    """One import; the fields are as in `import_labels`, but `sources` are given and unpacked.

    Attributes:
        place: the folder for its pictures and lists.
        where: the sources, for messages.
        reading: reads them.
        folder: where in the project the files go.
        outdated: the files in `place` that an earlier import left and this import makes outdated.
    """

    outdated: ClassVar[tuple[str, ...]] = (FAULTS, LEFT_OUT, SHEET, DRY_PICTURE)

    project: ProjectFolder
    place: Path
    sources: Sequence[tuple[Source, Source]]
    format: str | None = None
    split: Split | None = None
    replace: bool = False
    accept: bool = False
    limit: int = 0
    seed: int = 0
    index: ProjectIndex
    progress: Progress
    where: str = field(init=False)
    reading: ImportSources = field(init=False)
    numbers: ImportNumbers = field(init=False)
    summaries: Summaries | None = field(init=False, default=None)
    folder: str = field(init=False, default=LABELS)

    def __post_init__(self) -> None:
        self.where = join_names([given for given, _ in self.sources])
        self.reading = ImportSources(
            self.project,
            self.sources,
            format=self.format,
            split=self.split,
            index=self.index,
        )
        self.numbers = ImportNumbers(self.project, self.progress)

    def carry_out(self) -> Imported:
        """Import all labels, or raise the reason why none is imported."""
        project = self.project
        answers = self._receive()
        validated = self._validate(answers)
        if validated.faults:
            listed = _list_faults(self.place / FAULTS, validated.faults)
            raise self._refused_faults(validated, listed)
        self._refuse_nothing(answers, validated)
        for name in self.outdated:
            (self.place / name).unlink(missing_ok=True)
        self._refuse_doubted(validated)
        self.numbers.look_back()
        paths = copy_labels(project, validated.labels, self.progress, folder=self.folder)
        result = self._draw(self._result(answers, validated), validated, PICTURE)
        listed = _list_faults(self.place / LEFT_OUT, validated.left_out)
        result = dataclasses.replace(result, left_out_list=str(listed or ""))
        try:
            kept = self._keep(validated, paths)
        except LabelgridError:
            for path in (self.place / PICTURE, self.place / LEFT_OUT, project.folder / OCCURRED):
                path.unlink(missing_ok=True)
            raise
        return dataclasses.replace(result, tasks=_count_labels(project, kept, answers))

    def _keep(self, validated: ValidatedLabels, paths: Sequence[str]) -> ValidatedLabels:
        """Record the labels, whose files are on the disk, in one transaction, and keep new names.

        Labels that another import recorded meanwhile are returned as unchanged.
        """
        project = self.project
        store = project.store
        tasks = project.tasks()
        number = max((row.number for row in store.rounds()), default=0)
        with store.transaction("import"):
            kept = _as_of_now(project, validated)
            moves: list[Move] = []
            for label, path in zip(kept.labels, paths, strict=True):
                moves += _moves(label, path, tasks[label.row.cell.task], number)
            for skip in kept.skips:
                moves.append(Move(cell=skip.cell, to=State.SKIPPED, why=skip.reason))
            self.numbers.remember(kept.labels)
            if kept.moved:
                store.keep(images=[row.image_id for row in kept.moved])
            store.move(moves)
            if self.split:
                moved = [dataclasses.replace(row, split=self.split) for row in kept.moved]
                store.update_images(moved)
        keep_names(self.project, self.index.options.names)
        keep_rest(self.project, self.index.options.rest, self.index.uncovered.drawn)
        return kept

    def try_out(self) -> Imported:
        """Do the steps of an import that change nothing, and draw a picture."""
        try:
            answers = self._receive()
        except LabelError as error:
            return self._refused(Imported(tasks={}, found=self._found(Answers())), error)
        validated = self._validate(answers)
        self.numbers.look_back()
        refusal = self._refusal(answers, validated)
        result = self._result(answers, validated)
        result = dataclasses.replace(result, found=self._found(answers))
        result = self._draw(result, validated, DRY_PICTURE)
        if refusal:
            return self._refused(result, refusal)
        return result

    def _refusal(self, answers: Answers, validated: ValidatedLabels) -> LabelError | None:
        try:
            if validated.faults:
                raise self._refused_faults(validated)
            self._refuse_nothing(answers, validated)
            self._refuse_doubted(validated, draw=False)
        except LabelError as error:
            return error
        return None

    def _refused_faults(
        self, validated: ValidatedLabels, listed: Path | None = None
    ) -> ImportRefused:
        """The error with all faults, and whether the rest can be imported without them."""
        others = [label for label in validated.labels if label.status != "unchanged"]
        has_others = bool(others or validated.skips)
        can_leave_out = has_others and not (self.split or self.index.options.leave_out)
        return ImportRefused(validated.faults, self.where, listed, leaves_others=can_leave_out)

    def _refused(self, result: Imported, error: LabelError) -> Imported:
        faults: tuple[Fault, ...] = (Fault(self.where, error.what, error.next_step),)
        if isinstance(error, ImportRefused):
            faults = error.rows
        return dataclasses.replace(result, refused=str(error), faults=faults)

    def _receive(self) -> Answers:
        answers = self.reading.receive(self.progress)
        if self.index.options.keep:
            answers = keep_one(answers, self.index.options.keep)
        answers = self._admit(answers)
        if self.limit:
            # Drawn by image id: the order of the files does not matter.
            image_ids = sorted({answer.cell.image_id for answer in answers.labels})
            places = drawn_places(image_ids, seed_of(self.seed, "import"))[: self.limit]
            sample = {image_ids[place] for place in places}
            answers.labels = [label for label in answers.labels if label.cell.image_id in sample]
        return answers

    def _admit(self, answers: Answers) -> Answers:
        return answers

    def _validate(self, answers: Answers) -> ValidatedLabels:
        image_ids = [answer.cell.image_id for answer in answers.labels]
        self.numbers.drawn = frozenset(drawn_images(image_ids))
        if not self.accept:
            cells = [answer.cell for answer in answers.labels]
            self.summaries = self._summaries(cells)
        return validate_labels(
            self.project,
            answers,
            split=self.split,
            replace=self.replace,
            progress=self.progress,
            seen=self._see,
            leave_out=self.index.options.leave_out,
        )

    def _summaries(self, cells: Iterable[Cell]) -> Summaries:
        """The gatherer of summaries; it gathers none in a simulation."""
        return Summaries(self.numbers.tasks, () if self.project.settings.oracle else cells)

    def _see(self, cell: Cell, label: LabelArray) -> None:
        self.numbers.add(cell, label)
        if self.summaries:
            self.summaries.add(cell, label)

    def _refuse_nothing(self, answers: Answers, validated: ValidatedLabels) -> None:
        if not (validated.labels or answers.skips or answers.removed or answers.closed):
            advice = "\n  ".join(answers.notes)
            if answers.stray:
                names = join_names(answers.stray, FEW)
                advice = f"{advice} These are no labels: {names}. {WANTED}".lstrip()
            raise LabelError(
                "There are no labels of the project's images.",
                where=self.where,
                next_step=advice,
                unchanged=UNCHANGED,
            )

    def _refuse_doubted(self, validated: ValidatedLabels, draw: bool = True) -> None:
        if self.summaries:
            refuse_doubted(
                self.project,
                validated.labels,
                self.where,
                self.progress,
                summaries=self.summaries,
                doubts=self.numbers.doubts(),
                left_bare=self.index.uncovered.left_bare(),
                sheet=self.place / SHEET if draw else None,
            )

    def _found(self, answers: Answers) -> Found:
        cells = [label.cell for label in answers.labels] + [skip.cell for skip in answers.skips]
        heard = self.index.heard
        return Found(
            what=self.reading.describe(),
            images=len({cell.image_id for cell in cells}),
            labels=len(answers.labels),
            known=tuple(sorted(name for name in heard if heard[name])),
            unknown=tuple(sorted(name for name in heard if not heard[name])),
        )

    def _result(self, answers: Answers, validated: ValidatedLabels) -> Imported:
        odd = self.summaries.odd.remarks() if self.summaries else []
        return Imported(
            tasks=_count_labels(self.project, validated, answers),
            foreign=answers.foreign,
            empty=answers.empty,
            stray=tuple(answers.stray),
            removed=tuple(answers.removed),
            closed=tuple(answers.closed),
            notes=(*answers.notes, *self._notes()),
            numbers=self.numbers.numbers(),
            remarks=(*self.numbers.remarks(), *odd),
            requested=self._still_requested(validated),
            left_out=tuple(sorted(validated.left_out, key=lambda fault: fault.where)),
        )

    def _notes(self) -> list[str]:
        notes = names_note(self.index.options, self.index.heard)
        for encoding, count in self.index.encodings.items():
            files_were = count_text(count, "file was", "files were")
            notes.append(f"{files_were} read as {encoding}: no UTF-8.")
        notes += self.index.uncovered.notes(self.index.options.rest)
        for task, remark in self.index.uncovered.bare():
            notes.append(f"{remark} {self._rest_advice(task)}")
        return notes

    def _rest_advice(self, task: str) -> str:
        background = background_of(self.project.tasks()[task].region_names)
        options = self.index.options
        given = {"--format": self.format, "--task": options.task, "--keep": options.keep}
        words: list[object] = []
        for option, value in given.items():
            words += [option, value] if value else []
        words += ["--leave-out"] if options.leave_out else []
        words += ["--rest", background or "CLASS", "--replace"]
        places: list[object] = []
        for source, _ in self.sources:
            places += ["--url", source.url] if isinstance(source, ToolServer) else [source]
        again = command("import", self.project.folder, *places, *words)
        return (
            f"If they are {background or 'of one class'}: `{again}`, kept for later imports. If "
            f"not: `--rest {IGNORE}`."
        )

    def _still_requested(self, validated: ValidatedLabels) -> dict[str, tuple[str, ...]]:
        """The images with open requests by task, before the import is kept."""
        answered = {label.row.cell for label in validated.labels}
        answered.update(skip.cell for skip in validated.skips)
        requested: dict[str, list[str]] = {name: [] for name in self.project.tasks()}
        for row in self.project.store.cells(state=State.REQUESTED):
            if row.cell not in answered:
                requested[row.cell.task].append(row.cell.image_id)
        images_by_task = {}
        for task, images in requested.items():
            if images:
                images_by_task[task] = tuple(images)
        return images_by_task

    def _draw(self, result: Imported, validated: ValidatedLabels, name: str) -> Imported:
        """Draw some of the new labels; the import goes on whatever happens."""
        from labelgrid.imports.import_picture import draw_import

        path = self.place / name
        fresh = [label for label in validated.labels if label.is_fresh]
        if not fresh:
            return result
        self.progress.start("Drawing labels", 1, "pictures")
        try:
            picture = draw_import(
                self.project.store,
                self.project.tasks(),
                fresh,
                gathered=self.numbers,
                numbers=result.numbers,
            )
            write_bytes(path, picture)
        except Exception as error:  # noqa: BLE001 a user's own kind may raise anything
            why = error.what if isinstance(error, LabelgridError) else repr(error)
            return dataclasses.replace(result, undrawn=why)
        self.progress.advance()
        return dataclasses.replace(result, picture=str(path))


def _list_faults(path: Path, faults: Sequence[Fault]) -> Path | None:
    """Write all faults to a file, one a line.

    None if the message shows them all or the disk is full.
    """
    if len(faults) <= SHOWN:
        return None
    lines = sorted(" ".join(str(fault).splitlines()) for fault in faults)
    with suppress(ProjectError):
        files.write_text(path, "".join(f"{line}\n" for line in lines))
        return path
    return None


def _as_of_now(project: ProjectFolder, validated: ValidatedLabels) -> ValidatedLabels:
    """The labels and skips beside the present rows of the ledger.

    A label that the cell has by now is unchanged, and a skip that exists is left out.

    Raises:
        LedgerError: a cell has changed otherwise since it was validated.
    """
    labels = validated.labels
    cells = [label.row.cell for label in labels] + [skip.cell for skip in validated.skips]
    now = project.store.find(cells)
    current_labels = []
    for label in labels:
        row = now.get(label.row.cell)
        if row != label.row:
            if row is None or row.state != State.LABELLED or row.digest != label.digest:
                raise LedgerError(
                    "The ledger changed while the labels were checked.",
                    next_step="Run the same command again.",
                    unchanged=UNCHANGED,
                )
            label = dataclasses.replace(label, row=row, status="unchanged")
        current_labels.append(label)
    is_skipped = {cell for cell in now if now[cell].state == State.SKIPPED}
    skips = [skip for skip in validated.skips if skip.cell not in is_skipped]
    return dataclasses.replace(validated, labels=current_labels, skips=skips)


def _moves(label: AcceptedLabel, path: str, task: TaskDef, number: int) -> Iterator[Move]:
    """The moves to a labelled cell with the round, request id and weight of the row.

    `number` is the newest round's.
    """
    row = label.row
    if not label.is_fresh:
        return
    if row.state in (State.LABELLED, State.SKIPPED):
        why = "replaced" if row.state == State.LABELLED else "labelled after all"
        yield Move(
            cell=row.cell,
            to=State.MISSING,
            round=row.round,
            request_id=row.request_id,
            weight=row.weight,
            why=why,
        )
    yield Move(
        cell=row.cell,
        to=State.LABELLED,
        round=number if row.state == State.MISSING else row.round,
        request_id=row.request_id,
        path=path,
        digest=label.digest,
        cost=_label_cost(label, task.cost),
        weight=row.weight,
        why="the model's own prediction" if label.predicted else "",
        seconds=label.answer.seconds,
        annotator=label.answer.annotator,
        classes=task.classes,
        hint=label.answer.hint,
    )


def _label_cost(label: AcceptedLabel, price: float) -> float:
    """The cost of a label: none if paid before, the promised cost of a request, or the price."""
    if label.taken_back:
        return 0.0
    if label.row.state == State.REQUESTED:
        return label.row.cost
    return price


def _count_labels(
    project: ProjectFolder, validated: ValidatedLabels, answers: Answers
) -> dict[str, Tally]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    counts.update({name: Counter() for name in project.tasks()})
    for label in validated.labels:
        task_counts = counts[label.row.cell.task]
        task_counts[label.status] += 1
        task_counts["predicted"] += label.predicted
    for skip in validated.skips:
        counts[skip.cell.task]["skipped"] += 1
    for skip in set(answers.skips) - set(validated.skips):
        counts[skip.cell.task]["unchanged"] += 1
    return {name: Tally(**count) for name, count in counts.items()}
