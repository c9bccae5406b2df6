"""Provides a project and its rounds as a Python object.

Each method does the same as its command.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.ledger.grid import Split, TaskRow, Unit
from labelgrid.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_files import Check
from labelgrid.project.settings import RECIPE, STRATEGY, Settings, resolve_recipe
from labelgrid.project.task_spec import task_row, task_rows
from labelgrid.recipes.schema import PluginChoice

if TYPE_CHECKING:  # each method imports the modules that it needs
    from labelgrid.project.export import Exported
    from labelgrid.project.extend import Added
    from labelgrid.project.import_labels import Imported
    from labelgrid.project.records import Fit
    from labelgrid.project.remove import Removed, Restored
    from labelgrid.project.verify import Verified
    from labelgrid.report.write import WrittenReport
    from labelgrid.rounds.query import QueryResult

#: The path of a file or folder; and one or several of them.
Place = str | Path
Places = Place | Iterable[Place]


class Project:
    """A project in a folder: its images, tasks and labels, and its rounds.

    An operation that fails raises a `labelgrid.LabelgridError` and changes nothing. Only one
    process at a time may fit or query a project. If a call is killed, the same call resumes it.

    Args:
        folder: an opened project folder; use `Project.create` or `Project.open` with a path
            instead.
        progress: receives the progress of long work; None: silent.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as here:
        ...     for number in range(3):
        ...         Image.new("RGB", (64, 48), (number, 90, 30)).save(f"{here}/{number}.png")
        ...     with Project.create(f"{here}/flat", here, "depth:cost=2") as project:
        ...         picked = project.query(2, strategy="random_cells")
        ...         print(picked.cost, project.status()["tasks"]["depth"]["requested"])
        4.0 2
    """

    def __init__(self, folder: ProjectFolder, progress: Progress | None = None) -> None:
        self._project = folder
        self._progress = progress or Silent()

    @classmethod
    def create(
        cls,
        folder: Place,
        images: Places,
        tasks: Places,
        *,
        holdout: int | str = 0,
        group: str = "",
        recipe: str = RECIPE,
        changes: Mapping[str, Any] | None = None,
        strategy: str = STRATEGY,
        options: Mapping[str, Any] | None = None,
        weights: Place = "",
        seed: int = 0,
        check: Check = "full",
        progress: Progress | None = None,
    ) -> "Project":
        """Create a project. If this fails, nothing is created.

        Args:
            folder: the project's folder; it must not exist, or be empty.
            images: folders, or list files with one path per line.
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
            weights: a local file of backbone weights; "" fetches them if the recipe asks for
                pretrained weights.
            seed: the seed of every random draw.
            check: "full" reads every image completely first, "none" opens no image.
            progress: receives the progress of long work, in this and all later calls.

        Raises:
            LabelgridError: an argument cannot be used.
        """
        from labelgrid.project.create import create

        file = str(Path(weights).absolute()) if weights else ""
        choice = PluginChoice(strategy, options or {})
        settings = Settings(
            recipe=resolve_recipe(recipe),
            seed=seed,
            weights=file,
            group=group,
            strategy=choice,
            changes=changes or {},
        )
        paths = [Path(path) for path in _as_list(images)]
        project = create(
            Path(folder),
            paths,
            tasks=_rows(tasks),
            settings=settings,
            progress=progress or Silent(),
            holdout=holdout,
            check=check,
        )
        return cls(project, progress)

    @classmethod
    def open(cls, folder: Place, *, progress: Progress | None = None) -> "Project":
        """Open the project in a folder.

        Raises:
            LabelgridError: there is no project, or its settings or database are damaged.
        """
        return cls(ProjectFolder.open(Path(folder)), progress)

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self._project.folder

    def add(
        self,
        images: Places = (),
        tasks: Places = (),
        *,
        check: Check = "full",
        holdout: int | str = 0,
    ) -> "Added":
        """Add images or tasks, given as for `create`; then hold out images.

        If this fails, nothing is added.
        """
        from labelgrid.project.extend import add

        return add(
            self._project,
            [*map(Path, _as_list(images))],
            tasks=_rows(tasks),
            check=check,
            progress=self._progress,
            holdout=holdout,
        )

    def import_labels(
        self,
        labels: Place,
        *,
        format: str = "folder",
        split: Split | None = None,
        replace: bool = False,
        accept: bool = False,
        limit: int = 0,
        seed: int = 0,
    ) -> "Imported":
        """Import all labels of an answered request, of any folder, or of a published data set.

        If this fails, none.

        Args:
            labels: the folder.
            format: "folder", or the name of a labelling tool's connector or of a data set's layout.
            split: move the labels' images to this split.
            replace: replace existing labels that differ.
            accept: import labels that look wrong beside earlier ones, predictions or other labels
                of the image.
            limit: import the labels of this number of images only, drawn at random; 0: all.
            seed: the seed of that draw.

        Raises:
            LabelgridError: a label cannot be imported; lists every such label.
        """
        from labelgrid.project.import_labels import import_labels

        options = {
            "format": format,
            "split": split,
            "replace": replace,
            "accept": accept,
            "limit": limit,
            "seed": seed,
        }
        return import_labels(self._project, Path(labels), progress=self._progress, **options)  # type: ignore[arg-type]

    def fit(
        self, *, recipe: str = "", epochs: int | None = None, weights: Place | None = None
    ) -> "Fit":
        """Train the round's network on the current labels, or resume its training.

        Then evaluate it on held-out labels.

        `recipe`, `epochs` and `weights` (a file of the backbone's) replace the project's for this
        training only.
        """
        from labelgrid.rounds.fit import fit

        changes = {"train": {"epochs": epochs}} if epochs else None
        with self._project.lock():
            file = Path(weights) if weights else None
            return fit(
                self._project,
                self._progress,
                recipe=resolve_recipe(recipe) if recipe else "",
                changes=changes,
                weights=file,
            )

    def query(
        self,
        budget: float,
        unit: Unit = "labels",
        *,
        strategy: str = "",
        dry_run: bool = False,
        new: bool = False,
        prelabels: bool = True,
    ) -> "QueryResult":
        """Pick missing cells worth at most the budget (in `unit`), request them and close the round.

        The same call again returns the same picks while they are unanswered; `new` requests further
        cells. `strategy` replaces the project's; `dry_run` requests nothing; `prelabels` predicts
        the picks for annotators.
        """
        from labelgrid.rounds.query import query
        from labelgrid.select.strategy import Budget

        options = {"dry_run": dry_run, "new": new, "prelabels": prelabels}
        with self._project.lock():
            return query(
                self._project, Budget(budget, unit), self._progress, strategy=strategy, **options
            )

    def export(
        self,
        out: Place | None = None,
        *,
        to: str = "folder",
        round: int | None = None,
        link: bool = False,
    ) -> "Exported":
        """Export the open requests for a labelling tool. May be repeated.

        Args:
            out: the target folder; None: one folder per round, in the project.
            to: the name of the labelling tool's connector.
            round: export the requests of this round only; 0 for the requests of held-out images.
            link: link to the images instead of copying them.
        """
        from labelgrid.project.export import export

        target = Path(out) if out is not None else None
        return export(
            self._project, target, round=round, link=link, tool=to, progress=self._progress
        )

    def cancel(
        self, cells: Iterable[str] = (), *, round: int | None = None, requeue: bool = False
    ) -> int:
        """Cancel requests and return their number.

        They are given by id or as `IMAGE:TASK`, or by round; without both, all but those of
        held-out images are cancelled. With `requeue`, skipped cells become missing instead of
        requested cells; those of held-out images are requested again, and so are their missing
        cells that are named, or all with round 0.
        """
        from labelgrid.project.cancel import cancel

        return len(cancel(self._project, list(cells), round=round, requeue=requeue))

    def predict(
        self, images: Place, out: Place, *, known: Place | None = None, soft: bool = False
    ) -> int:
        """Write the newest model's predictions of images as label files `OUT/TASK/IMAGE`.

        Return the number of files.

        `images` is a folder or a file, `known` a folder of labels to feed in; `soft` writes class
        probabilities, too.
        """
        from labelgrid.rounds.predict import predict

        known = Path(known) if known else None
        return predict(
            self._project,
            Path(images),
            out=Path(out),
            known=known,
            progress=self._progress,
            soft=soft,
        )

    def evaluate(
        self,
        labels: Place | None = None,
        *,
        split: Split | None = None,
        predictions: Place | None = None,
    ) -> dict[str, Any]:
        """Evaluate the newest model, or a folder of prediction files, on a split or on a folder of labels."""
        from labelgrid.rounds.evaluate import evaluate_project

        labels, predictions = (
            Path(place) if place is not None else None for place in (labels, predictions)
        )
        return evaluate_project(
            self._project, self._progress, labels=labels, split=split, predictions=predictions
        )

    def report(
        self, out: Place | None = None, *, plots: Place | None = None, pictures: bool = False
    ) -> "WrittenReport":
        """Write a report as one HTML file, `report.html` in the project if `out` is None.

        `plots` is a folder for each figure as SVG and PNG; `pictures` also predicts cells without a
        stored picture.
        """
        from labelgrid.report.write import write_report

        page = Path(out) if out else self.folder / "report.html"
        plots = Path(plots) if plots else None
        return write_report(self.folder, page, plots, pictures=pictures)

    def verify(self) -> "Verified":
        """Read every image and label completely, and list those that are damaged or changed."""
        from labelgrid.project.verify import verify

        return verify(self._project, self._progress)

    def unlabel(self, cells: Iterable[str]) -> int:
        """Withdraw wrong labels, given as `IMAGE:TASK`, and return their number.

        Files and history are kept.
        """
        from labelgrid.project.cancel import unlabel

        return len(unlabel(self._project, list(cells)))

    def remove(self, images: Iterable[str]) -> "Removed":
        """Take images out of the project, given by id.

        Their history is kept, and `restore` brings them back.
        """
        from labelgrid.project.remove import remove

        return remove(self._project, list(images))

    def restore(self, images: Iterable[str]) -> "Restored":
        """Bring removed images back with their labels, given by id."""
        from labelgrid.project.remove import restore

        return restore(self._project, list(images), self._progress)

    def status(self) -> dict[str, Any]:
        """The images, cells by state, costs, rounds and the next command, as `status --json` prints them."""
        from labelgrid.project.status import status_of

        return status_of(self._project)

    def close(self) -> None:
        """Close the database. A `with` block closes it at its end."""
        self._project.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _as_list(paths: Places) -> list[Place]:
    """One or several paths as a list."""
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _rows(tasks: Places) -> list[TaskRow]:
    """The ledger's rows of tasks given as strings or as paths of TOML files."""
    return [
        row
        for one in _as_list(tasks)
        for row in (task_rows(one) if isinstance(one, Path) else [task_row(one)])
    ]
