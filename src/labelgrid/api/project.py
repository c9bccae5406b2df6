"""Provides a project and its rounds as a Python object.

The command line stands on it: each method does the work of the command of its name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from labelgrid.api.contents import ChangedCells, ProjectContents, check_round
from labelgrid.api.door import (
    Amount,
    Cost,
    Count,
    Positive,
    check_methods,
    ended_steps,
    steady,
)
from labelgrid.api.places import Place, optional_path, path_or_address
from labelgrid.basics import plugins
from labelgrid.basics.errors import ModelError, RecipeError, UsageError
from labelgrid.basics.progress import Progress, caller_progress
from labelgrid.executors.job import record_job
from labelgrid.ledger.grid import Cell, OpenSplit, Split, TaskRow, Unit
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import (
    RECIPE,
    STRATEGY,
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
    from labelgrid.annotate.import_options import Keep
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
    from labelgrid.project.images.image_files import Check
    from labelgrid.project.records import Fit
    from labelgrid.report.write_report import WrittenReport
    from labelgrid.rounds.derived_predictions import Derived
    from labelgrid.rounds.lookalikes import FoundDuplicates
    from labelgrid.rounds.query import QueryResult
    from labelgrid.score.table import Table
    from labelgrid.suppliers.relate import Related

#: One or several paths of files or folders.
Places = Place | Iterable[Place]


@check_methods
@steady
class Project(ProjectContents):
    """A project in a folder: its images, tasks and labels, and its rounds.

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
    def create(
        cls,
        folder: Place,
        images: Places,
        tasks: Places,
        *,
        holdout: Count | str = 0,
        group: str = "",
        recipe: str = RECIPE,
        changes: Mapping[str, Any] | None = None,
        strategy: str = STRATEGY,
        options: Mapping[str, Any] | None = None,
        weights: Place | None = None,
        seed: int = 0,
        check: "Check" = "full",
        leave_out: bool = False,
        ledger: str = "",
        progress: Progress | None = None,
    ) -> Self:
        """Create a project from images and tasks.

        If this fails, nothing is created.

        Args:
            folder: the project's folder; it must not exist, or be empty.
            images: folders, or list files with one path per line; or addresses such as
                "s3://bucket/photos/", or of lists of addresses (.txt, .csv, .parquet).
            tasks: strings `NAME[:KEY=VALUE,...]`, such as "depth:scale=0.001"; a `Path` is a TOML
                file of tasks.
            holdout: the held-out images for evaluation, a number or a share ("20%"); their labels
                are requested.
            group: a regular expression on image ids; images for which it matches the same text stay
                in one split.
            recipe: the name of a shipped recipe, or the path of a recipe.
            changes: overrides of the recipe, merged table by table.
            strategy: the strategy that picks cells.
            options: the strategy's options.
            weights: a local file of backbone weights; None fetches them if the recipe asks for
                pretrained weights.
            seed: the seed of every random draw.
            check: "full" reads every image completely first, "none" opens no image.
            leave_out: go on without images that cannot be read; `left_out` lists them, and the
                project's file `left-out.txt`.
            ledger: the URL of a PostgreSQL database without a password, to keep the ledger there;
                empty: in a file of the project.
            progress: receives the progress of long work, in this and all later calls; None: a bar
                in a notebook or a terminal, else nothing; `labelgrid.Silent()`: nothing.

        Raises:
            LabelgridError: an argument cannot be used.
        """
        from labelgrid.operations.create import create

        file = optional_path(weights)
        if file and not file.is_file():
            raise ModelError(
                "There is no such file of weights.",
                where=str(file),
                next_step="Give the path of a file, or leave `weights=` out.",
            )
        rows = _rows(tasks)
        plugins.resolve("strategies", strategy)
        settings = Settings(
            recipe=resolve_recipe(recipe),
            seed=seed,
            weights=str(file.absolute()) if file else "",
            group=group,
            strategy=plugins.PluginChoice(strategy, options or {}),
            changes=changes or {},
            ledger=ledger_url(ledger, Path(folder)),
        )
        left_out: list[Fault] = []
        progress = progress or caller_progress()
        with ended_steps(progress):
            project = create(
                Path(folder),
                [path_or_address(path) for path in _as_list(images)],
                tasks=rows,
                settings=settings,
                progress=progress,
                holdout=holdout,
                check=check,
                left_out=left_out if leave_out else None,
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
            folder: the project's.
            progress: receives the progress of long work; None: as `create`.
            is_command: the tasks and images are those of now until it is closed, whatever others
                change; otherwise they are those of the beginning of each call.
            looking: open a project that cannot be written, too: its ledger is read in a copy in the
                temporary folder, and every change is refused.

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

    def add(
        self,
        images: Places = (),
        tasks: Places = (),
        *,
        holdout: Count | str = 0,
        check: "Check" = "full",
        leave_out: bool = False,
    ) -> "Added":
        """Add images or tasks to a project, or hold out images of it.

        Images and tasks are given as for `create`. If this fails, nothing is added.
        """
        from labelgrid.operations.extend import add

        left_out: list[Fault] = []
        self.left_out = left_out
        return add(
            self._project,
            [path_or_address(path) for path in _as_list(images)],
            tasks=_rows(tasks),
            check=check,
            progress=self._progress,
            holdout=holdout,
            left_out=left_out if leave_out else None,
        )

    def task(
        self,
        name: str,
        values: Mapping[str, Any] | None = None,
        *,
        classes: Iterable[str] = (),
        merge: Mapping[str, str] | None = None,
        complete: bool = False,
        drop: bool = False,
        restore: bool = False,
    ) -> "Changed":
        """Show a task, change what it declares, drop it, or bring it back.

        A change is made after checking its labels.

        If this fails, the task is unchanged.

        Args:
            name: the task's name.
            values: new values by key: cost, classes or an option of its label files; None takes
                an option back.
            classes: the names of classes to add at the end.
            merge: class -> the class that its pixels are counted as.
            complete: the labels that are there show all classes, also those that were added after
                them. Otherwise they say nothing about these.
            drop: drop the task; its labels stay on disk.
            restore: bring a dropped task back with its labels.

        Raises:
            LabelgridError: there is no such task, or its labels do not fit the change; lists them.
        """
        from labelgrid.operations.task_change import (
            Changed,
            TaskChange,
            change_task,
            drop_task,
            restore_task,
        )

        added = list(classes)
        if drop + restore + bool(values or added or merge or complete) > 1:
            raise UsageError(
                "--drop, --restore and changes exclude each other.", next_step="Give one of them."
            )
        if drop:
            rows = {row.name: row for row in self._project.store.tasks()}
            cancelled = drop_task(self._project, name)
            return Changed(row=rows[name], checked=0, requested=0, stale=False, cancelled=cancelled)
        if restore:
            restore_task(self._project, name)
        change = TaskChange(values or {}, added, merge, complete)
        return change_task(self._project, name, change, self._progress)

    def import_labels(
        self,
        labels: Places | None = None,
        *,
        format: str | None = None,
        split: OpenSplit | None = None,
        replace: bool = False,
        accept: bool = False,
        limit: Count = 0,
        seed: int | None = None,
        task: str = "",
        map: Mapping[str, str] | None = None,
        rest: str = "",
        dry_run: bool = False,
        keep: "Keep | None" = None,
        url: str = "",
        token_file: Place | None = None,
        supplier: str = "",
        cost: Cost | None = None,
        leave_out: bool = False,
    ) -> "Imported":
        """Import labels: all of them, or none and a list of faults.

        Args:
            labels: an answered request, a folder of labels, a labelling tool's file, or a published
                data set, also by its address; or several of them, which are imported together or
                not at all. None: what is answered on the server at `url`.
            format: the name of a labelling tool's connector or of a data set's layout. None: the
                connector that recognises the labels, else "folder".
            split: move the labels' images to this split.
            replace: replace existing labels that differ.
            accept: import labels that look wrong beside earlier ones, predictions or other labels
                of the image.
            limit: import the labels of this number of images only, drawn at random; 0: all.
            seed: the seed of that draw; None: 0.
            task: the task of a tool's labels; empty: the one that knows their classes.
            map: a tool's name of a class -> the task's, or "ignore": not labelled. It is kept for
                later imports, in `[names]` of the settings.
            rest: the class of pixels that no region of a tool covers, or "ignore": they are not
                labelled. It is kept for later imports of the task by this tool, in `[rest]` of the
                settings; "none" ends that. Empty: what is kept, else they are not labelled.
            dry_run: import nothing; return what would be imported, and why it would be refused.
            keep: which of a tool's answers for one image counts, if there are several; None: they
                are refused.
            url: a labelling tool's server, with `format`; its answers are imported.
            token_file: a file with the token of one of its users.
            supplier: the name of a supplier whose labels these are: they cost nearly nothing and
                are not true. They label no cell; a training uses them as far as the recipe trusts
                them.
            cost: of one label of the supplier; None: as it is declared, otherwise 0.
            leave_out: go on without entries and files that are wrong; the result's `left_out` lists
                them. A cell whose entries are wrong in part gets no label.

        Raises:
            LabelgridError: a label cannot be imported; lists every such label.
        """
        from labelgrid.annotate.import_options import ImportOptions
        from labelgrid.imports.import_labels import import_labels
        from labelgrid.imports.import_supplied import import_supplied
        from labelgrid.project.tool_server import tool_server

        if seed is not None and not limit:
            raise UsageError(
                "--seed is the seed of --limit, which was not given.", next_step="Add --limit N."
            )
        server = tool_server(self._project, url, optional_path(token_file))
        places = [path_or_address(place) for place in _as_list(labels or ()) if place]
        source: list[Source] = [server] if server else list(places)
        if not source or (server and places):
            raise UsageError(
                "An import is of LABELS, or of a server.",
                next_step="Name a file or folder, or --format label-studio with --url.",
            )
        known = {} if supplier else self._project.settings.names
        options = ImportOptions(
            task=task,
            names=map or {},
            known=known,
            rest=rest,
            kept_rest={} if supplier else self._project.settings.rest,
            keep=keep,
            leave_out=leave_out,
        )
        if supplier:
            if split or replace:
                raise UsageError(
                    "--split and --replace are for true labels.",
                    next_step="Leave them out: a supplier's new labels replace its earlier ones.",
                )
            return import_supplied(
                self._project,
                source,
                supplier=supplier,
                cost=cost,
                format=format,
                accept=accept,
                limit=limit,
                seed=seed or 0,
                options=options,
                dry_run=dry_run,
                progress=self._progress,
            )
        if cost is not None:
            raise UsageError(
                "--cost is that of a supplier's labels; others cost what their tasks declare.",
                next_step="Add --supplier NAME.",
            )
        return import_labels(
            self._project,
            source,
            format=format,
            split=split,
            replace=replace,
            accept=accept,
            limit=limit,
            seed=seed or 0,
            options=options,
            dry_run=dry_run,
            progress=self._progress,
        )

    def fit(
        self,
        *,
        recipe: str = "",
        epochs: Positive | None = None,
        weights: Place | None = None,
        changes: Mapping[str, Any] | None = None,
        keep: bool = False,
        devices: Positive = 1,
    ) -> "Fit":
        """Train on all labels or resume a stopped training, then measure on the held-out images.

        Under torchrun each process calls it, and all return the same record.

        Args:
            recipe: replaces the project's recipe for this training: a shipped one, or the path of
                a file.
            epochs: replaces the recipe's length.
            weights: a local file of backbone weights that replaces the project's.
            changes: overrides of the recipe for this training, merged table by table; `fit.json`
                keeps them.
            keep: write `changes` and `epochs` to `labelgrid.toml` first: they are of all later
                trainings, too.
            devices: the number of processes that divide each batch: one for each GPU, or each on a
                part of the processors. They show their progress on stderr.

        Raises:
            UsageError: `keep` has nothing to write, or torchrun has started several processes and
                `devices` asks for more.
            TrainingError: a process ended; the same call resumes the training.
        """
        from labelgrid.project.kept_changes import keep_changes
        from labelgrid.recipes.resolve import override

        overrides = dict(changes or {})
        _refuse_scoring(overrides)
        if epochs:
            overrides = override(overrides, {"train": {"epochs": epochs}})
        if recipe:
            recipe = resolve_recipe(recipe)
        weights_file = optional_path(weights)
        self._say_splitless()
        if devices > 1:
            return self._fit_together(devices, recipe, overrides, weights=weights_file, keep=keep)
        from labelgrid.rounds.fit import fit, take_part
        from labelgrid.train.group import join_group

        with join_group() as group:
            if not group.is_first:
                return take_part(self._project.folder, group, recipe, weights_file)
            with self._job() as progress:
                if keep:
                    keep_changes(self._project, overrides, recipe)
                    overrides = {}
                return fit(
                    self._project,
                    progress,
                    recipe=recipe,
                    changes=overrides,
                    weights=weights_file,
                    group=group,
                )

    def _say_splitless(self) -> None:
        """Say which images are in no training because they are in no split."""
        from labelgrid.operations.unknown_splits import splitless_sentence

        text = splitless_sentence(self._project)
        if text:
            self._progress.say(text)

    def _fit_together(
        self,
        devices: int,
        recipe: str,
        changes: Mapping[str, Any],
        *,
        weights: Path | None,
        keep: bool,
    ) -> "Fit":
        """Train in several processes, each of which runs the command `fit`; return their record."""
        from labelgrid.executors.together import place_from_environment, run_together
        from labelgrid.project.overrides import override_words
        from labelgrid.project.records import newest_fit

        if place_from_environment():
            raise UsageError(
                "Several processes have been started already, and each would start more.",
                next_step="Leave `devices` out.",
                unchanged="Nothing was trained.",
            )
        folder = self._project.folder
        words = ["fit", str(folder.absolute())]
        words += ["--recipe", recipe] if recipe else []
        words += ["--weights", str(weights.absolute())] if weights else []
        words += ["--keep"] if keep else []
        for word in override_words(changes):
            words += ["--set", word]
        run_together(words, devices)
        if keep:
            self._project.settings = read_settings(folder / SETTINGS)
        record = newest_fit(folder)
        assert record is not None
        return record

    def score(
        self,
        strategy: str = "",
        *,
        predictions: Place | None = None,
        on: str = "",
        workers: Count = 0,
        shard: Count = 0,
    ) -> "Table":
        """Score the pool with the newest model, or resume a stopped run.

        Args:
            strategy: replaces the project's strategy, which says what is computed.
            predictions: a folder with the predictions of a network of your own, which takes the
                place of a training: it is the newest model from now on.
            on: the place where shards of the pool are scored, such as "processes"; "": in this
                process, or with `workers` in processes of this machine.
            workers: the number of shards that are scored at a time; 0: with `on`, one per core.
            shard: the number of images in a shard; 0: chosen by the pool's size.

        Returns:
            the images, and the statistics by name; no image if only a share was scored.

        Raises:
            LabelgridError: there is no model yet, or it cannot give what the strategy needs.
        """
        from labelgrid.executors.spreading import spreading_of
        from labelgrid.rounds.score import score
        from labelgrid.rounds.shard_scorer import PRELOADED

        spreading = spreading_of(on, workers, shard, PRELOADED)
        folder = optional_path(predictions)
        if folder is not None:
            spreading.refuse("--predictions")
        with self._share_job(spreading.share) as progress:
            if folder is None:
                return score(self._project, progress, strategy, spreading)
            from labelgrid.rounds.own_model.outside_score import score_predictions

            return score_predictions(self._project, folder, progress, strategy)

    @contextmanager
    def _job(self) -> Iterator[Progress]:
        """Hold the project's lock, and show in the round's folder what is done meanwhile.

        Yields the progress to report to, which ends the work as Ctrl-C does if it is asked to.
        """
        with self._project.lock(), record_job(self._project.job.path, self._progress) as progress:
            yield progress

    @contextmanager
    def _share_job(self, share: "Share") -> Iterator[Progress]:
        """As `_job`; a part of the work holds no lock, and has a folder of its own."""
        if share.is_all:
            with self._job() as progress:
                yield progress
            return
        path = self._project.job.path.with_name(f"job-{share.index + 1}")
        with record_job(path, self._progress) as progress:
            yield progress

    def query(
        self,
        budget: float | None = None,
        unit: Unit = "labels",
        *,
        strategy: str = "",
        tasks: Sequence[str] = (),
        dry_run: bool = False,
        new: bool = False,
        pairs: Count = 0,
        audit: Count = 0,
        control: str | Cost = 0.0,
        prelabels: bool = True,
        save: Place | None = None,
        picks: Place | None = None,
        class_name: str = "",
        like: Place = "",
    ) -> "QueryResult":
        """Pick cells within the budget, mark them requested and close the round.

        The same call again returns the same picks while they are unanswered.

        Args:
            budget: how much to spend; None: what `pairs` and `audit` take.
            unit: "labels", "images" (all missing labels of one) or "cost".
            strategy: replaces the project's strategy.
            tasks: the tasks whose cells may be picked; empty: all.
            dry_run: return the picks and request nothing.
            new: request further cells while the last ones are unanswered.
            pairs: the number of training images to draw at random; first of all, their missing
                labels of all tasks that relations connect are requested.
            audit: the number of training cells to draw at random of those of each supplier and
                task; their missing labels are requested first of all, too.
            control: a share of the rest of the budget to spend on random cells, such as "20%".
            prelabels: write the model's predictions for the picks, for annotators.
            save: keep the picks of a dry run in this file.
            picks: such a file: request exactly these, if the pool has not changed since. Nothing
                but `prelabels` is given beside it.
            class_name: pick images of which the newest model predicts the largest share as this
                class, given by its name or as "TASK:CLASS"; without `tasks`, labels of the class's
                task are asked for. It picks in place of a strategy.
            like: pick images that are most like this one, the id of an image or the path of a file;
                also without a model. It picks in place of a strategy.

        Raises:
            StateError: the pool has changed since the picks of the file were chosen.
            LabelgridError: nothing can be bought, or the scores are stale.
        """
        from labelgrid.rounds.query import query, request_kept
        from labelgrid.select.strategy import Budget

        kept = Path(picks) if picks else None
        is_controlled = control not in ("0", 0)
        given = (
            budget is not None,
            strategy,
            tasks,
            dry_run,
            new,
            pairs,
            audit,
            is_controlled,
            save,
            class_name,
            like,
        )
        if kept and any(given):
            raise UsageError(
                "--picks requests what a dry run kept: only --no-prelabels goes with it.",
                next_step="Leave the other options out.",
            )
        if save is not None and not dry_run:
            raise UsageError(
                "--save keeps the picks of a dry run.", next_step="Add --dry-run, or leave it out."
            )
        with self._job() as progress:
            if kept:
                return request_kept(self._project, kept, progress, prelabels=prelabels)
            return query(
                self._project,
                None if budget is None else Budget(budget, unit),
                progress,
                strategy=strategy,
                tasks=tasks,
                dry_run=dry_run,
                new=new,
                pairs=pairs,
                audit=audit,
                control=control,
                prelabels=prelabels,
                save=Path(save) if save else None,
                class_name=class_name,
                like=str(like),
            )

    def export(
        self,
        out: Place | None = None,
        *,
        to: str = "folder",
        round: Count | None = None,
        task: str | Iterable[str] = (),
        labels: bool = False,
        link: bool = False,
        url: str = "",
        token_file: Place | None = None,
        local_files: Place | None = None,
    ) -> "Exported":
        """Write the open requests (or all labels) as files; run again, it updates the folder.

        Args:
            out: the target folder; None: one folder per round, in the project; of labels, the
                project's `export`.
            to: the name of the labelling tool's connector. Requests that it does not take, such as
                of depth where one draws regions, are left out, and counted in the result.
            round: export the requests of this round only; 0 for the requests of held-out images.
            task: export the requests of this task, or of these, only; empty: of all.
            labels: write all labels instead of requests.
            link: link to the images instead of copying them.
            url: a labelling tool's server, which gets the requests instead of a folder.
            token_file: a file with the token of one of its users.
            local_files: a folder from which the server serves images of its own machine: they are
                written to `out` below it. None: they are uploaded.
        """
        from labelgrid.operations.export import export, export_labels
        from labelgrid.project.tool_server import tool_server

        root = optional_path(local_files)
        server = tool_server(self._project, url, optional_path(token_file), root)
        if not labels:
            return export(
                self._project,
                optional_path(out),
                round=round,
                task=task,
                link=link,
                tool=to,
                server=server,
                progress=self._progress,
            )
        if link or task or server or round is not None:
            raise UsageError(
                "--labels writes all labels: it cannot be combined with --round, --task, --link or "
                "--url.",
                next_step="Leave them out.",
            )
        folder = optional_path(out) or self.folder / "export"
        return export_labels(self._project, folder, progress=self._progress)

    def cancel(
        self, cells: Iterable[str] = (), *, round: Count | None = None, requeue: bool = False
    ) -> ChangedCells:
        """Cancel requests; without cells and round, all open ones except those of held-out images.

        Args:
            cells: cells as `IMAGE:TASK`, or request ids.
            round: all open requests of this round.
            requeue: make skipped cells missing instead of requested ones; those of held-out
                images are requested again, and so are their missing cells that are named, or all
                with round 0.

        Returns:
            the cells that are missing now or, if they are of held-out images and with `requeue`,
            requested.
        """
        from labelgrid.operations.cancel import cancel

        cells = list(cells)
        if not cells:
            check_round(self._project, round)
        changed = cancel(self._project, cells, round=round, requeue=requeue)
        return self._changed(changed)

    def predict(
        self,
        images: Place,
        out: Place,
        *,
        known: Place | None = None,
        soft: bool = False,
        overlay: bool = False,
        relations: "Derived" = "missing",
        leave_out: bool = False,
        on: str = "",
        workers: Count = 0,
        shard: Count = 0,
    ) -> int:
        """Predict all tasks of images as label files, at the images' original size.

        Args:
            images: a folder of images, or one image; or the address of either, or of a list.
            out: the folder for the predictions, as `OUT/TASK/IMAGE`.
            known: a folder of known labels to feed to the network.
            soft: also write class probabilities and the like, as .npz.
            overlay: also draw each photograph with each prediction over it, as
                `OUT/overlays/TASK/IMAGE.jpg`.
            relations: predictions that follow from others by a relation that is on are derived:
                "missing": those that the network did not learn; "mean": also the others, whose
                predictions become the mean of both; "none".
            leave_out: go on without images that cannot be read; `left_out` lists them.
            on: the place where shards of the images are predicted, such as "processes"; "": in this
                process, or with `workers` in processes of this machine.
            workers: the number of shards that are predicted at a time; 0: with `on`, one per core.
            shard: the number of images in a shard; 0: chosen by their number.

        Returns:
            the number of files; of a share of the work, its own.
        """
        from labelgrid.executors.spreading import spreading_of
        from labelgrid.rounds.predict import predict
        from labelgrid.rounds.shard_predictor import PRELOADED

        left_out: list[Fault] = []
        self.left_out = left_out
        return predict(
            self._project,
            path_or_address(images),
            out=Path(out),
            known=optional_path(known),
            progress=self._progress,
            soft=soft,
            overlay=overlay,
            relations=relations,
            left_out=left_out if leave_out else None,
            spreading=spreading_of(on, workers, shard, PRELOADED),
        )

    def export_model(
        self, out: Place | None = None, *, to: Literal["onnx"] = "onnx", known: Iterable[str] = ()
    ) -> "ExportedModel":
        """Write the newest network as a file that programs without labelgrid run.

        It predicts images of every size from 17 pixels on, at their size. The file's metadata say
        how an image becomes its input, and what its outputs are. ONNX Runtime must compute what the
        network does, on images of random pixels and odd sizes, or nothing is written.

        Args:
            out: the file; None: `model.onnx` in the project.
            to: the format, ONNX; it needs the extra `onnx`.
            known: tasks whose labels are inputs, too; a network of two stages improves the others.
        """
        from labelgrid.exporting.export_model import export_model

        path = optional_path(out) or self.folder / f"model.{to}"
        return export_model(self._project, path, known=tuple(known), progress=self._progress)

    def evaluate(
        self,
        labels: Place | None = None,
        *,
        split: Split | None = None,
        predictions: Place | None = None,
        crop: str = "",
        min_depth: Cost | None = None,
        max_depth: Amount | None = None,
    ) -> dict[str, Any]:
        """Measure the newest model, or prediction files, at the images' original size.

        Args:
            labels: a folder of labels.
            split: without labels, the project's split to measure on; None: the held-out images.
            predictions: measure the predictions in this folder, not the newest model's.
            crop: only this part of each image counts, as published protocols say: "eigen-nyu",
                "eigen-kitti", "garg-kitti", or "TOP:BOTTOM,LEFT:RIGHT" in pixels or percent.
            min_depth: labels of at most so many metres do not count, and predictions are raised to
                it; None: no limit.
            max_depth: labels of at least so many metres do not count, and predictions are lowered
                to it; None: no limit. With a crop or a range, nothing is written for the report.
        """
        from labelgrid.rounds.evaluate import evaluate_project
        from labelgrid.rounds.protocol import Protocol

        return evaluate_project(
            self._project,
            self._progress,
            labels=optional_path(labels),
            split=split,
            predictions=optional_path(predictions),
            protocol=Protocol(crop=crop, least=min_depth, most=max_depth),
        )

    def report(
        self, out: Place | None = None, *, plots: Place | None = None, pictures: bool = False
    ) -> "WrittenReport":
        """Write the report of a project or a study as one self-contained HTML file.

        Args:
            out: the HTML file; None: `report.html` in the project.
            plots: a folder for each figure as SVG and PNG.
            pictures: predict the shown cells that have no pictures yet; loads the model.
        """
        from labelgrid.api.study import report

        return report(self.folder, out, plots=plots, pictures=pictures, progress=self._progress)

    def sheet(self, out: Place | None = None, *, count: Positive = 12) -> "DrawnSheet":
        """Draw images of a project beside their labels of all tasks, with names and legends.

        Args:
            out: the PNG file; None: `sheet.png` in the project.
            count: the most images, spread evenly over those that have a label.
        """
        from labelgrid.operations.grid_sheet import draw_sheet

        return draw_sheet(self._project, optional_path(out), count, self._progress)

    def verify(self) -> "Verified":
        """Read every image and label of a project, and list those that are damaged or changed."""
        from labelgrid.operations.verify import verify

        return verify(self._project, self._progress)

    def duplicates(
        self, *, on: str = "", workers: Count = 0, shard: Count = 0
    ) -> "FoundDuplicates | None":
        """Find held-out images that look like training images, such as frames of one video.

        Every image is read once. If a call is killed, the same call reads those that are left.

        Args:
            on: the place where images are read in shards, such as "ray"; "": in this process, or
                with `workers` in processes of this machine.
            workers: the number of shards at a time; 0: with `on`, one per core.
            shard: the number of images in a shard; 0: chosen by their number.

        Returns:
            what was found; None if only a share of the images was read.
        """
        from labelgrid.executors.spreading import spreading_of
        from labelgrid.rounds.lookalikes import find_duplicates
        from labelgrid.rounds.thumbnail_shards import PRELOADED

        spreading = spreading_of(on, workers, shard, PRELOADED)
        with self._share_job(spreading.share) as progress:
            return find_duplicates(self._project, progress, spreading)

    def audit(
        self,
        *,
        folds: Count = 0,
        all: bool = False,
        on: str = "",
        workers: Count = 0,
        shard: Count = 0,
    ) -> "Audited":
        """Rank the labels of a project by how likely they are wrong, and show the worst.

        Labels are compared with the edges of their images, with other labels of the same image and
        of their task, and with networks. If a call is killed, the same call resumes its trainings.

        Args:
            folds: the networks to train by the project's recipe, each without a fold of the images
                whose labels it then judges; 0: none, which takes seconds for hundreds of labels.
            all: show labels that somebody confirmed as right, too.
            on: the place where labels are compared in shards and the networks are trained, such as
                "processes"; "": in this process, or with `workers` in processes of this machine.
            workers: the number of shards, then of networks, at a time; 0: with `on`, one per core.
            shard: the number of images in a shard; 0: chosen by their number.

        Returns:
            the labels; none if only a share of the work was done.
        """
        from labelgrid.audit.audit import audit
        from labelgrid.audit.label_shards import PRELOADED
        from labelgrid.executors.spreading import spreading_of

        spreading = spreading_of(on, workers, shard, PRELOADED)
        if not folds and spreading.executor is None:
            return audit(self._project, 0, self._progress, all=all)
        with self._share_job(spreading.share) as progress:
            return audit(self._project, folds, progress, all=all, spreading=spreading)

    def control(self, *, seeds: Positive = 6) -> "ControlComparison":
        """Measure whether a strategy's picks pay: compare them with as many random labels.

        Networks are trained on all other labels and on as many of both as there are, and measured
        on the held-out images. If a call is killed, the same call resumes its trainings.

        Args:
            seeds: the number of trainings on each of the two; 6 at least.
        """
        from labelgrid.advice.control import compare_with_control

        with self._job() as progress:
            return compare_with_control(self._project, seeds, progress)

    def time(self, *, own_recipe: bool = False) -> "RoundTimes":
        """Measure how long a round takes on this machine, by recipe, and say which recipe fits.

        Times a few training steps with random weights on the project's images; changes nothing.

        Args:
            own_recipe: measure only the project's recipe.
        """
        from labelgrid.advice.round_times import round_times

        return round_times(self._project, self._progress, own_recipe=own_recipe)

    def advise(self, *, budget: Amount | None = None) -> "Advised":
        """Say which labels to buy next, what they may gain, and what else would help.

        Foresees metrics from the measured rounds and from recorded campaigns, with 80 % intervals;
        trains nothing and changes nothing.

        Args:
            budget: the cost that the purchases are compared at; None: that of the last round.
        """
        from labelgrid.advice.advise import advise

        return advise(self._project, budget)

    def relate(self, *, write: bool = False, on: str = "", workers: Count = 0) -> "Related":
        """Measure relations and suppliers by true labels, and propose how far to trust them.

        Args:
            write: write the trust into `labelgrid.toml`, and the field of view of unknown cameras
                into `camera.toml`.
            on: the place where each relation, and each supplier and task, is measured, such as
                "processes"; "": in this process, or with `workers` in processes of this machine.
            workers: the number that are measured at a time; 0: with `on`, one per core.

        Returns:
            what was measured; no row if only a share of the work was done.
        """
        from labelgrid.executors.spreading import spreading_of
        from labelgrid.suppliers.relate import relate
        from labelgrid.suppliers.trust_jobs import PRELOADED

        spreading = spreading_of(on, workers, 0, PRELOADED)
        if spreading.executor is not None:
            with self._share_job(spreading.share) as progress:
                return relate(self._project, progress, write=write, spreading=spreading)
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
        """Request labels that you chose yourself, beside what queries pick.

        Args:
            cells: missing cells as `IMAGE:TASK`.
        """
        from labelgrid.operations.by_hand import request

        return self._changed(request(self._project, list(cells)))

    def skip(self, cells: Iterable[str], *, why: str = "") -> ChangedCells:
        """Skip requests that nobody can answer: no query picks these cells again.

        Args:
            cells: requested cells as `IMAGE:TASK`, or request ids.
            why: the reason, one line.
        """
        from labelgrid.operations.by_hand import skip

        return self._changed(skip(self._project, list(cells), why))

    def set_split(
        self, split: OpenSplit, images: Iterable[str] = (), *, was: str = ""
    ) -> list[str]:
        """Put images that are in no split into one; `status` names them.

        A labelgrid of before let Python put images into splits that no command reads.

        Args:
            split: the split.
            images: their ids; empty: all that are in none.
            was: only those of this unknown split; empty: of any.

        Returns:
            the ids of the images.
        """
        from labelgrid.operations.unknown_splits import set_split

        return set_split(self._project, split, list(images), was)

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

    def undo(self, *, dry_run: bool = False, operation: Positive | None = None) -> "Undone":
        """Undo the last import, query, unlabel, cancel, request or skip, as a new operation.

        Nothing is deleted from the history. Called again, it undoes the operation before that.

        Args:
            dry_run: change nothing; say what would be undone.
            operation: the number of the operation that must be the last one, as `log` tells it;
                None: whichever is.

        Raises:
            LabelgridError: there is nothing to undo, or the last operation cannot be undone.
            StateError: another operation is the last one.
        """
        from labelgrid.operations.undo import undo

        return undo(self._project, self._progress, dry_run=dry_run, operation=operation)

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
        """These cells, and those of them that are of held-out images."""
        from labelgrid.operations.cancel import heldout_cells

        return ChangedCells(cells, heldout_cells(self._project.store, cells))


def _refuse_scoring(changes: Mapping[str, Any]) -> None:
    """Refuse overrides of how the pool is scored, which is read long after the training."""
    if "score" in changes:
        raise RecipeError(
            "A training computes no scores: overrides of [score] have no effect on it.",
            next_step="Write them below [changes.score] into labelgrid.toml, which `labelgrid "
            "score` and `labelgrid query` read.",
            unchanged="Nothing was trained.",
        )


def _as_list(paths: Places) -> list[Place]:
    """One or several paths as a list."""
    if isinstance(paths, str | Path):
        return [paths]
    return list(paths)


def _rows(tasks: Places) -> list[TaskRow]:
    """The ledger's rows of tasks given as strings or as paths of TOML files."""
    from labelgrid.project.task_spec import task_row, task_rows

    rows: list[TaskRow] = []
    for words in _as_list(tasks):
        if isinstance(words, Path):
            rows += task_rows(words)
        else:
            rows.append(task_row(words))
    return rows
