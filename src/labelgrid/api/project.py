"""Provides a project and its rounds as a Python object.

The command line stands on it: each method does the work of the command of its name.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labelgrid.api.contents import ChangedCells, ProjectContents, check_round
from labelgrid.api.door import Positive, check_methods, ended_steps, steady, takes
from labelgrid.api.places import Place, optional_path, path_or_address
from labelgrid.api.requests import (
    AddRequest,
    AdviseRequest,
    AnyImportRequest,
    AuditRequest,
    CancelRequest,
    ChangeTaskRequest,
    ControlRequest,
    CreateRequest,
    EvaluateRequest,
    ExportModelRequest,
    ExportRequest,
    FitRequest,
    ImportAnswersRequest,
    ImportRequest,
    ImportSuppliedRequest,
    Places,
    PredictRequest,
    QueryRequest,
    RelateRequest,
    ReportRequest,
    ScoreRequest,
    SetSplitRequest,
    SkipRequest,
    SpreadRequest,
    SupplyRequest,
    TimeRequest,
    UndoRequest,
)
from labelgrid.basics import plugins
from labelgrid.basics.bars import caller_progress
from labelgrid.basics.errors import ModelError, RecipeError, UsageError
from labelgrid.basics.processes import loading
from labelgrid.basics.progress import Progress
from labelgrid.executors.job import record_job
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import (
    AUTO,
    RECIPE,
    Settings,
    ledger_url,
    read_settings,
    resolve_recipe,
)

if TYPE_CHECKING:  # each method imports the modules that it needs
    from labelgrid.advice.advise import Advised
    from labelgrid.advice.control import ControlComparison
    from labelgrid.advice.round_times import RoundTimes
    from labelgrid.annotate.answers import Fault
    from labelgrid.audit.audit import Audited
    from labelgrid.executors.share import Share
    from labelgrid.exporting.export_model import ExportedModel
    from labelgrid.imports.import_sources import Source
    from labelgrid.imports.imported import Imported
    from labelgrid.operations.export import Exported
    from labelgrid.operations.extend import Added
    from labelgrid.operations.grid_sheet import DrawnSheet
    from labelgrid.operations.remove import Removed, Restored
    from labelgrid.operations.task_change import Changed
    from labelgrid.operations.undo import Undone
    from labelgrid.operations.verify import Verified
    from labelgrid.project.records import Fit
    from labelgrid.report.write_report import WrittenReport
    from labelgrid.rounds.lookalikes import FoundDuplicates
    from labelgrid.rounds.query import QueryResult
    from labelgrid.score.table import Table
    from labelgrid.storage.addresses import Address
    from labelgrid.suppliers.relate import Related
    from labelgrid.suppliers.supply import Supplied


@check_methods
@steady
class Project(ProjectContents):
    """A project in a folder: images, tasks, labels and rounds.

    An operation that fails raises a `labelgrid.LabelgridError` and changes nothing. Only one
    process at a time may fit or query a project. If a call is killed, the same call resumes it.

    Args:
        folder: an opened project folder; use `Project.create` or `Project.open` with a path
            instead.
        progress: receives the progress of long work; None: as `Project.create`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as here:
        ...     for number in range(3):
        ...         Image.new("RGB", (64, 48), (number, 90, 30)).save(f"{here}/{number}.png")
        ...     with Project.create(f"{here}/flat", here, "depth:cost=2") as project:
        ...         picked = project.query(2, strategy="random_cells")
        ...         states = [cell["state"] for cell in project.cells()]
        ...         print(picked.cost, states.count("requested"))
        4.0 2
    """

    def __init__(self, folder: ProjectFolder, progress: Progress | None = None) -> None:
        if not isinstance(folder, ProjectFolder):
            raise UsageError(
                "A project is opened by a function of its own.",
                next_step=f"Use Project.open({str(folder)!r:.80}).",
            )
        self.left_out = ()
        self._project = folder
        self._progress = progress or caller_progress()

    @classmethod
    @takes(CreateRequest)
    def create(cls, request: CreateRequest) -> Self:
        """Create a project from images and tasks.

        If this fails, nothing is created.

        Raises:
            LabelgridError: an argument cannot be used.
        """
        from labelgrid.nets.encoder_files import tensor_shapes
        from labelgrid.operations.create import create
        from labelgrid.project.overrides import override_tables
        from labelgrid.suppliers.ready_encoders import with_ready_encoder

        folder = Path(request.folder)
        file = optional_path(request.weights)
        if file and not file.is_file():
            raise ModelError(
                "There is no such file of weights.",
                where=str(file),
                next_step="Give the path of a file, or leave `weights=` out.",
            )
        if file and file.suffix == ".safetensors" and not tensor_shapes(file):
            raise ModelError(
                "The file of weights is cut off, or is no .safetensors file.",
                where=str(file),
                next_step="Fetch the file again.",
            )
        rows = _rows(request.tasks)
        plugins.resolve("strategies", request.strategy)
        is_auto = request.recipe == AUTO
        settings = Settings(
            recipe=RECIPE if is_auto else resolve_recipe(request.recipe or RECIPE),
            seed=request.seed,
            weights=str(file.absolute()) if file else "",
            group=request.group,
            strategy=plugins.PluginChoice(request.strategy, request.options or {}),
            changes=override_tables(request.changes or {}),
            ledger=ledger_url(request.ledger, folder),
        )
        if is_auto:
            settings = with_ready_encoder(settings, folder)
        left_out: list[Fault] = []
        progress = request.progress or caller_progress()
        with ended_steps(progress):
            project = create(
                folder,
                _places(request.images),
                tasks=rows,
                settings=settings,
                progress=progress,
                holdout=request.holdout,
                check=request.check,
                left_out=left_out if request.leave_out else None,
            )
        created = cls(project, progress)
        created.left_out = left_out
        return created

    @classmethod
    def open(
        cls,
        folder: Place,
        *,
        progress: Progress | None = None,
        is_command: bool = False,
        looking: bool = False,
    ) -> Self:
        """Open the project in a folder.

        Args:
            folder: the project's folder.
            progress: receives the progress of long work; None: as in `create`.
            is_command: keep the present tasks and images until the project is closed, whatever
                other processes change; otherwise each call reads them at its beginning.
            looking: also open a project without the right to write: the ledger is copied to the
                temporary folder and read there, and every change is refused.

        Raises:
            LabelgridError: there is no project, or its settings or database are damaged.
        """
        project = ProjectFolder.open(Path(folder), looking=looking)
        note = project.copy_note()
        if note and progress:
            progress.say(note)
        if is_command:
            project.store.know()
        return cls(project, progress)

    @takes(AddRequest)
    def add(self, request: AddRequest) -> "Added":
        """Add images or tasks to a project, or hold out images of it.

        Images and tasks are given as for `create`. If this fails, nothing is added.
        """
        from labelgrid.operations.extend import add

        left_out: list[Fault] = []
        self.left_out = left_out
        return add(
            self._project,
            _places(request.images),
            tasks=_rows(request.tasks),
            check=request.check,
            progress=self._progress,
            holdout=request.holdout,
            left_out=left_out if request.leave_out else None,
        )

    @takes(ChangeTaskRequest)
    def change_task(self, request: ChangeTaskRequest) -> "Changed":
        """Change the declaration of a task after a check of the labels; without changes, show it.

        If this fails, the task is unchanged.

        Raises:
            LabelgridError: there is no such task, or its labels do not fit the change; lists them.
        """
        from labelgrid.operations.task_change import TaskChange, change_task

        classes = list(request.classes)
        change = TaskChange(request.values or {}, classes, request.merge, request.complete)
        return change_task(self._project, request.name, change, self._progress)

    def drop_task(self, name: str) -> "Changed":
        """Drop a task; the labels stay on disk, and `restore_task` brings it back."""
        from labelgrid.operations.task_change import Changed, drop_task

        rows = {row.name: row for row in self._project.store.tasks()}
        cancelled = drop_task(self._project, name)
        return Changed(row=rows[name], checked=0, requested=0, stale=False, cancelled=cancelled)

    def restore_task(self, name: str) -> "Changed":
        """Bring a dropped task back with its labels."""
        from labelgrid.operations.task_change import restore_task

        restore_task(self._project, name)
        return self.change_task(name)

    @takes(ImportRequest)
    def import_labels(self, request: ImportRequest) -> "Imported":
        """Import labels: all of them, or none and a list of faults.

        Raises:
            LabelgridError: a label cannot be imported; lists every such label.
        """
        return self._import(request, _sources(request.labels))

    @takes(ImportSuppliedRequest)
    def import_supplied(self, request: ImportSuppliedRequest) -> "Imported":
        """Import a supplier's labels, which label no cell: all, or none and a list of faults.

        Raises:
            LabelgridError: a label cannot be imported; lists every such label.
        """
        return self._import(request, _sources(request.labels))

    @takes(SupplyRequest)
    def supply(self, request: SupplyRequest) -> "Supplied":
        """Label the training images with a model, and import the labels as a supplier's.

        Images with a label of the same revision and settings are left out. After a call was
        killed, the same call resumes the work.

        Returns:
            what was supplied; no labels if only a share of the labels was made.

        Raises:
            LabelgridError: the model cannot be used, or is refused, or a label cannot be imported.
        """
        from labelgrid.suppliers import supply as steps
        from labelgrid.suppliers.label_maker import PRELOADED

        maker = steps.build_maker(
            self._project,
            request.maker,
            Path(request.model),
            chosen=request.tasks or {},
            options=request.settings or {},
        )
        order = steps.SupplyOrder(
            name=request.supplier,
            maker=maker,
            cost=request.cost,
            map=_names(request.map),
            limit=request.limit,
        )
        if request.dry_run:
            return steps.try_supply(self._project, order, self._progress)
        workplace = request.workplace(PRELOADED)
        with self._job(workplace.share) as progress:
            made = steps.make_labels(self._project, order, progress, workplace)
        if made is None:
            return steps.Supplied(supplier=order.name)
        return steps.take_labels(self._project, order, made, self._progress)

    @takes(ImportAnswersRequest)
    def import_answers(self, request: ImportAnswersRequest) -> "Imported":
        """Import what is answered on the server of a labelling tool, as `import_labels` does.

        Raises:
            LabelgridError: the server cannot be read, or a label cannot be imported.
        """
        from labelgrid.project.tool_server import tool_server

        server = tool_server(self._project, request.url, optional_path(request.token_file))
        return self._import(request, server or _sources(()))

    def _import(self, request: AnyImportRequest, source: "Source | Sequence[Source]") -> "Imported":
        """Import true labels, or labels of the supplier that a request names."""
        from labelgrid.annotate.import_options import ImportOptions
        from labelgrid.imports.import_labels import import_labels
        from labelgrid.imports.import_supplied import import_supplied

        settings = self._project.settings
        is_supplied = "supplier" in request.given()
        options = ImportOptions(
            task=request.task,
            names=_names(request.map),
            kept_names={} if is_supplied else settings.names,
            rest=request.rest,
            kept_rest={} if is_supplied else settings.rest,
            keep=request.keep,
            leave_out=request.leave_out,
        )
        extra = ("supplier", "cost") if is_supplied else ("split", "replace")
        given = {name: request[name] for name in ("format", "accept", "limit", "dry_run", *extra)}
        carry_out: Callable[..., Imported] = import_supplied if is_supplied else import_labels
        return carry_out(
            self._project,
            source,
            **given,
            seed=request.seed or 0,
            options=options,
            progress=self._progress,
        )

    @takes(FitRequest)
    def fit(self, request: FitRequest) -> "Fit":
        """Train on all labels or resume a stopped training, then measure on the held-out images.

        Under torchrun each process calls it, and all return the same record.

        Raises:
            UsageError: `keep` has nothing to write, or torchrun has started several processes and
                `devices` asks for more.
            TrainingError: a process ended; the same call resumes the training.
        """
        from labelgrid.operations.unknown_splits import splitless_sentence
        from labelgrid.project.kept_changes import keep_changes
        from labelgrid.project.overrides import override_tables
        from labelgrid.recipes.resolve import override

        overrides = override_tables(request.changes or {})
        _refuse_scoring(overrides)
        if request.epochs:
            overrides = override(overrides, {"train": {"epochs": request.epochs}})
        recipe = resolve_recipe(request.recipe) if request.recipe else ""
        weights = optional_path(request.weights)
        splitless = splitless_sentence(self._project)
        if splitless:
            self._progress.say(splitless)
        if request.devices > 1:
            resolved = replace(request, recipe=recipe, changes=overrides, epochs=None)
            return self._fit_together(resolved, request.devices)
        with loading():
            from labelgrid.rounds.fit import fit, take_part
            from labelgrid.train.group import join_group

        with join_group() as group:
            if not group.is_first:
                return take_part(self._project.folder, group, recipe, weights)
            with self._job() as progress:
                if request.keep:
                    keep_changes(self._project, overrides, recipe)
                    overrides = {}
                return fit(
                    self._project,
                    progress,
                    recipe=recipe,
                    changes=overrides,
                    weights=weights,
                    group=group,
                )

    def _fit_together(self, request: FitRequest, devices: int) -> "Fit":
        """Train in several processes, each of which runs the command `fit`."""
        from labelgrid.api.spelling import words_of
        from labelgrid.executors.together import place_from_environment, run_together
        from labelgrid.project.records import newest_fit

        if place_from_environment():
            raise UsageError(
                "Several processes have been started already, and each would start more.",
                next_step="Leave `devices` out.",
                unchanged="Nothing was trained.",
            )
        folder = self._project.folder
        weights = Path(request.weights).absolute() if request.weights else None
        process_request = replace(request, weights=weights, devices=1)
        run_together(["fit", str(folder.absolute()), *words_of(process_request)], devices)
        if request.keep:
            self._project.settings = read_settings(folder / SETTINGS)
        record = newest_fit(folder)
        assert record is not None
        return record

    @takes(ScoreRequest)
    def score(self, request: ScoreRequest) -> "Table":
        """Score the pool with the newest model, or resume a stopped run.

        Returns:
            the images, and the statistics by name; no image if only a share was scored.

        Raises:
            LabelgridError: there is no model yet, or it cannot give what the strategy needs.
        """
        with loading():
            from labelgrid.rounds.score import score
            from labelgrid.rounds.shard_scorer import PRELOADED

        workplace = request.workplace(PRELOADED)
        folder = optional_path(request.predictions)
        if folder is not None:
            workplace.refuse("`predictions=`")
        with self._job(workplace.share) as progress:
            if folder is None:
                return score(self._project, progress, request.strategy, workplace)
            from labelgrid.rounds.own_model.outside_score import score_predictions

            return score_predictions(self._project, folder, progress, request.strategy)

    @contextmanager
    def _job(self, share: "Share | None" = None) -> Iterator[Progress]:
        """Hold the project's lock, and show in the round's folder what is done meanwhile.

        A share of the work holds no lock, and has a folder of its own. Yields the progress to
        report to, which ends the work as Ctrl-C does if it is asked to.
        """
        is_all = share is None or share.is_all
        with self._project.lock() if is_all else nullcontext():
            path = self._project.job.path
            if share and not is_all:
                path = path.with_name(f"job-{share.index + 1}")
            with record_job(path, self._progress) as progress:
                yield progress

    @takes(QueryRequest)
    def query(self, request: QueryRequest) -> "QueryResult":
        """Pick cells within the budget, mark them requested and close the round.

        The same call again returns the same picks while they are unanswered.

        Raises:
            StateError: the pool has changed since the picks of the file were chosen.
            LabelgridError: nothing can be bought, or the scores are stale.
        """
        from labelgrid.rounds.query import query, request_kept
        from labelgrid.select.strategy import Budget

        prelabels = request.prelabels
        with self._job() as progress:
            if request.picks:
                kept = Path(request.picks)
                return request_kept(self._project, kept, progress, prelabels=prelabels)
            budget = request.budget
            return query(
                self._project,
                None if budget is None else Budget(budget, request.unit),
                progress,
                strategy=request.strategy,
                tasks=request.tasks,
                dry_run=request.dry_run,
                new=request.new,
                pairs=request.pairs,
                audit=request.audit,
                control=request.control,
                prelabels=prelabels,
                save=Path(request.save) if request.save else None,
                class_name=request.class_name,
                like=str(request.like),
            )

    @takes(ExportRequest)
    def export(self, request: ExportRequest) -> "Exported":
        """Write the open requests (or all labels) as files; run again, it updates the folder."""
        from labelgrid.operations.export import export, export_labels
        from labelgrid.project.tool_server import tool_server

        out = optional_path(request.out)
        if request.labels:
            out = out or self.folder / "export"
            return export_labels(self._project, out, progress=self._progress)
        root = optional_path(request.local_files)
        token_file = optional_path(request.token_file)
        return export(
            self._project,
            out,
            round=request.round,
            task=request.task,
            link=request.link,
            tool=request.to,
            server=tool_server(self._project, request.url, token_file, root),
            progress=self._progress,
        )

    @takes(CancelRequest)
    def cancel(self, request: CancelRequest) -> ChangedCells:
        """Cancel requests; without cells and round, all open requests except for held-out images.

        Returns:
            the cells that are missing now or, if they are of held-out images and with `requeue`,
            requested.
        """
        from labelgrid.operations.cancel import cancel

        cells = list(request.cells)
        if not cells:
            check_round(self._project, request.round)
        return self._changed(
            cancel(self._project, cells, round=request.round, requeue=request.requeue)
        )

    @takes(PredictRequest)
    def predict(self, request: PredictRequest) -> int:
        """Predict all tasks of images as label files, at the images' original size.

        Returns:
            the number of files; of a share of the work, its own.
        """
        with loading():
            from labelgrid.rounds.predict import predict
            from labelgrid.rounds.shard_predictor import PRELOADED

        left_out: list[Fault] = []
        self.left_out = left_out
        return predict(
            self._project,
            path_or_address(request.images),
            out=Path(request.out),
            known_labels=optional_path(request.known),
            progress=self._progress,
            soft=request.soft,
            overlay=request.overlay,
            relations=request.relations,
            left_out=left_out if request.leave_out else None,
            workplace=request.workplace(PRELOADED),
        )

    @takes(ExportModelRequest)
    def export_model(self, request: ExportModelRequest) -> "ExportedModel":
        """Write the newest network as a file that programs without labelgrid run.

        It predicts images of every size from 17 pixels on, at their size. The file's metadata say
        how an image becomes its input, and what its outputs are. ONNX Runtime must compute what the
        network does, on images of random pixels and odd sizes, or nothing is written.
        """
        from labelgrid.exporting.export_model import export_model

        path = optional_path(request.out) or self.folder / f"model.{request.to}"
        return export_model(
            self._project, path, known_tasks=tuple(request.known), progress=self._progress
        )

    @takes(EvaluateRequest)
    def evaluate(self, request: EvaluateRequest) -> dict[str, Any]:
        """Measure the newest model, or prediction files, at the images' original size."""
        with loading():
            from labelgrid.rounds.evaluate import evaluate_project

        return evaluate_project(
            self._project,
            self._progress,
            labels=optional_path(request.labels),
            split=request.split,
            predictions=optional_path(request.predictions),
            protocol=request.protocol,
        )

    @takes(ReportRequest)
    def report(self, request: ReportRequest) -> "WrittenReport":
        """Write the report of a project or a study as one self-contained HTML file."""
        from labelgrid.api.study import report

        return report(self.folder, **request, progress=self._progress)

    def sheet(self, out: Place | None = None, *, count: Positive = 12) -> "DrawnSheet":
        """Draw images of a project beside their labels of all tasks, with names and legends.

        Args:
            out: the PNG file; None: `sheet.png` in the project.
            count: the most images, spread evenly over those that have a label.
        """
        from labelgrid.operations.grid_sheet import draw_sheet

        return draw_sheet(self._project, optional_path(out), count, self._progress)

    def verify(self) -> "Verified":
        """Read every image and label of a project, and list damaged and changed files."""
        from labelgrid.operations.verify import verify

        return verify(self._project, self._progress)

    @takes(SpreadRequest)
    def duplicates(self, request: SpreadRequest) -> "FoundDuplicates | None":
        """Find held-out images that look like training images, as frames of a video do.

        Every image is read once. If a call is killed, the same call reads those that are left.

        Returns:
            what was found; None if only a share of the images was read.
        """
        from labelgrid.rounds.lookalikes import find_duplicates
        from labelgrid.rounds.thumbnail_shards import PRELOADED

        workplace = request.workplace(PRELOADED)
        with self._job(workplace.share) as progress:
            return find_duplicates(self._project, progress, workplace)

    @takes(AuditRequest)
    def audit(self, request: AuditRequest) -> "Audited":
        """Rank the labels of a project by how likely they are wrong, and show the worst.

        Labels are compared with the edges of their images, with other labels of the same image and
        of their task, and with networks. If a call is killed, the same call resumes its trainings.

        Returns:
            the labels; none if only a share of the work was done.
        """
        from labelgrid.audit.audit import audit
        from labelgrid.audit.label_shards import PRELOADED

        folds = request.folds
        workplace = request.workplace(PRELOADED)
        if not folds and workplace.executor is None:
            return audit(self._project, 0, self._progress, all=request.all)
        with self._job(workplace.share) as progress:
            return audit(self._project, folds, progress, all=request.all, workplace=workplace)

    @takes(ControlRequest)
    def control(self, request: ControlRequest) -> "ControlComparison":
        """Measure whether a strategy's picks pay: compare them with as many random labels.

        Networks are trained on all other labels and on as many of both as there are, and measured
        on the held-out images. If a call is killed, the same call resumes its trainings.
        """
        from labelgrid.advice.control import compare_with_control

        with self._job() as progress:
            return compare_with_control(self._project, request.seeds, progress)

    @takes(TimeRequest)
    def time(self, request: TimeRequest) -> "RoundTimes":
        """Measure the time of a round on this machine, by recipe, and name a fitting recipe.

        Times a few training steps with random weights on the project's images; changes nothing.
        """
        from labelgrid.advice.round_times import round_times

        return round_times(self._project, self._progress, own_recipe=request.own_recipe)

    @takes(AdviseRequest)
    def advise(self, request: AdviseRequest) -> "Advised":
        """Say which labels to buy next, with the gain to expect, and how else to improve.

        Foresees metrics from the measured rounds and from recorded campaigns, with 80 % intervals;
        trains nothing and changes nothing.
        """
        from labelgrid.advice.advise import advise

        return advise(self._project, request.budget)

    @takes(RelateRequest)
    def relate(self, request: RelateRequest) -> "Related":
        """Measure relations and suppliers by true labels, and propose how far to trust them.

        Returns:
            what was measured; no row if only a share of the work was done.
        """
        from labelgrid.suppliers.relate import relate
        from labelgrid.suppliers.trust_jobs import PRELOADED

        write = request.write
        workplace = request.workplace(PRELOADED)
        if workplace.executor is not None:
            with self._job(workplace.share) as progress:
                return relate(self._project, progress, write=write, workplace=workplace)
        if not write:
            return relate(self._project, self._progress)
        with self._project.lock():
            return relate(self._project, self._progress, write=True)

    def unlabel(self, cells: Iterable[str]) -> ChangedCells:
        """Withdraw wrong labels: their cells are missing again; files and history are kept.

        The labels of held-out images are requested again.

        Args:
            cells: labelled cells as `IMAGE:TASK`.
        """
        from labelgrid.operations.cancel import unlabel

        return self._changed(unlabel(self._project, list(cells)))

    def request(self, cells: Iterable[str]) -> ChangedCells:
        """Request labels of your own choice, beside the picks of queries.

        Args:
            cells: missing cells as `IMAGE:TASK`.
        """
        from labelgrid.operations.by_hand import request

        return self._changed(request(self._project, list(cells)))

    @takes(SkipRequest)
    def skip(self, request: SkipRequest) -> ChangedCells:
        """Skip requests that nobody can answer: no query picks the cells again."""
        from labelgrid.operations.by_hand import skip

        return self._changed(skip(self._project, list(request.cells), request.why))

    @takes(SetSplitRequest)
    def set_split(self, request: SetSplitRequest) -> list[str]:
        """Put images without a split into a split; `status` names them.

        Older versions let Python code put images into splits that no command reads.

        Returns:
            the ids of the images.
        """
        from labelgrid.operations.unknown_splits import set_split

        return set_split(self._project, request.split, list(request.images), request.was)

    def remove(self, images: Iterable[str]) -> "Removed":
        """Take images out of the project; their files, labels and history are kept.

        `images` are ids. `restore` brings them back.
        """
        from labelgrid.operations.remove import remove

        return remove(self._project, list(images))

    def restore(self, images: Iterable[str]) -> "Restored":
        """Bring removed images back with their labels.

        `images` are ids.
        """
        from labelgrid.operations.remove import restore

        return restore(self._project, list(images), self._progress)

    @takes(UndoRequest)
    def undo(self, request: UndoRequest) -> "Undone":
        """Undo the last import, query, unlabel, cancel, request or skip, as a new operation.

        Nothing is deleted from the history. Called again, it undoes the operation before that.

        Raises:
            LabelgridError: there is nothing to undo, or the last operation cannot be undone.
            StateError: another operation is the last one.
        """
        from labelgrid.operations.undo import undo

        return undo(self._project, self._progress, **request)

    def confirm(self, cells: Iterable[str]) -> ChangedCells:
        """Note that labels were looked at and are right: `suspects` lists them no more.

        Args:
            cells: labelled cells as `IMAGE:TASK`.
        """
        from labelgrid.audit.confirmed_labels import confirm

        return self._changed(confirm(self._project, list(cells)))

    def close(self) -> None:
        """Close the database. A `with` block closes it at its end."""
        self._project.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _changed(self, cells: list[Cell]) -> ChangedCells:
        from labelgrid.operations.cancel import heldout_cells

        return ChangedCells(cells, heldout_cells(self._project.store, cells))


def _refuse_scoring(changes: Mapping[str, Any]) -> None:
    if "score" in changes:
        raise RecipeError(
            "A training computes no scores: overrides of [score] have no effect on it.",
            next_step="Write them below [changes.score] into labelgrid.toml, which `labelgrid "
            "score` and `labelgrid query` read.",
            unchanged="Nothing was trained.",
        )


def _as_list(paths: Places) -> list[Place]:
    if isinstance(paths, str | Path):
        return [paths]
    return list(paths)


def _places(paths: Places) -> "list[Path | Address]":
    return [path_or_address(path) for path in _as_list(paths)]


def _sources(labels: Places) -> "list[Path | Address]":
    places = _places([place for place in _as_list(labels) if place])
    if not places:
        raise UsageError(
            "An import is of LABELS, or of a server.",
            next_step="Name a file or folder, or the `url=` of a server.",
        )
    return places


def _names(names: Mapping[str, str] | str | None) -> Mapping[str, str]:
    """The meanings of class names: from a dictionary, pairs as a text, or a file of pairs."""
    from labelgrid.annotate.import_options import read_names

    return read_names(names) if isinstance(names, str) else names or {}


def _rows(tasks: Places) -> list[TaskRow]:
    """The ledger's rows of tasks; a `Path` is a TOML file."""
    from labelgrid.project.task_spec import task_row, task_rows

    rows: list[TaskRow] = []
    for words in _as_list(tasks):
        if isinstance(words, Path):
            rows += task_rows(words)
        else:
            rows.append(task_row(words))
    return rows
