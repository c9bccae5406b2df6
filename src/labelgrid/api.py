"""What Python programs use: a project and its rounds, and studies. Each call does what the command of its name does."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.labels.grid import Split, TaskRow, Unit
from labelgrid.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_files import Check
from labelgrid.project.settings import Settings, resolve_recipe
from labelgrid.project.task_spec import task_row, task_rows
from labelgrid.recipes.schema import PluginChoice

if TYPE_CHECKING:  # what these modules import is loaded by the call that needs it
    from labelgrid.project.artifacts import Fit
    from labelgrid.project.export import Exported
    from labelgrid.project.extend import Added
    from labelgrid.project.import_labels import Imported
    from labelgrid.reporting.write import WrittenReport
    from labelgrid.rounds.choose import QueryResult
    from labelgrid.simulation.run_study import StudyProgress, StudyResult

#: A file or folder; one or several.
Place = str | Path
Places = Place | Iterable[Place]


class Project:
    """A project in a folder: its images and tasks, the labels there are, and the rounds that buy more.

    What is refused raises a `labelgrid.LabelgridError` and changes nothing. One process at a time may fit or query a
    project. A call that was killed is resumed by the same call.

    Args:
        folder: an opened project; `Project.create` and `Project.open` make one of a path.
        progress: is told how far long work is; silent if None.

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
        self._project, self._progress = folder, progress or Silent()

    @classmethod
    def create(
        cls,
        folder: Place,
        images: Places,
        tasks: Places,
        *,
        holdout: int = 0,
        group: str = "",
        recipe: str = "small",
        changes: Mapping[str, Any] | None = None,
        strategy: str = "partal",
        options: Mapping[str, Any] | None = None,
        weights: Place = "",
        seed: int = 0,
        check: Check = "full",
        progress: Progress | None = None,
    ) -> "Project":
        """Make a project, or nothing at all.

        Args:
            folder: where; it must not exist, or be empty.
            images: folders, or list files with one path a line.
            tasks: strings `NAME[:KEY=VALUE,...]`, such as "depth:scale=0.001"; a `Path` is a TOML file of tasks.
            holdout: images set aside for measuring, drawn at random; their labels are requested at once.
            group: a regular expression on image ids; images for which it matches the same text stay in one split.
            recipe: a shipped recipe's name, or the path of one.
            changes: merged over the recipe, table by table.
            strategy: what picks cells.
            options: of the strategy.
            weights: a local file of backbone weights; "" fetches them where the recipe asks for it.
            seed: of every draw.
            check: "full" reads every image to its end first, "none" opens none.
            progress: is told how far long work is, in this and all later calls.

        Raises:
            LabelgridError: what was given cannot be used.
        """
        from labelgrid.project.create import create

        kept = str(Path(weights).absolute()) if weights else ""
        chosen = PluginChoice(strategy, options or {})
        settings = Settings(resolve_recipe(recipe), seed, kept, group, chosen, changes or {})
        found = [Path(place) for place in _several(images)]
        made = create(Path(folder), found, _rows(tasks), settings, progress or Silent(), holdout=holdout, check=check)
        return cls(made, progress)

    @classmethod
    def open(cls, folder: Place, *, progress: Progress | None = None) -> "Project":
        """Open the project that lies in a folder.

        Raises:
            LabelgridError: there is none, or its settings or database are damaged.
        """
        return cls(ProjectFolder.open(Path(folder)), progress)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._project.folder

    def add(self, images: Places = (), tasks: Places = (), *, check: Check = "full") -> "Added":
        """Add images or tasks, given as to `create`: all of them, or nothing."""
        from labelgrid.project.extend import add

        return add(self._project, [Path(place) for place in _several(images)], _rows(tasks), check, self._progress)

    def import_labels(
        self,
        labels: Place,
        *,
        format: str = "folder",
        split: Split | None = None,
        replace: bool = False,
        limit: int = 0,
        seed: int = 0,
    ) -> "Imported":
        """Take labels in, all or none: of an answered request, of any folder, or of a published data set.

        Args:
            labels: the folder.
            format: "folder", a labelling tool's, or a data set's layout.
            split: put the labels' images into this split.
            replace: labels that differ from those there are take their place.
            limit: only those of so many images, drawn at random; 0: all.
            seed: of that draw.

        Raises:
            LabelgridError: lists every label that cannot be taken.
        """
        from labelgrid.project.import_labels import import_labels

        how = {"format": format, "split": split, "replace": replace, "limit": limit, "seed": seed}
        return import_labels(self._project, Path(labels), progress=self._progress, **how)  # type: ignore[arg-type]

    def fit(self, *, recipe: str = "", epochs: int | None = None) -> "Fit":
        """Train the round's network on the labels there are, or resume it; then measure it on the held-out images.

        `recipe` and `epochs` take the place of the project's, this time.
        """
        from labelgrid.rounds.fit import fit

        changes = {"train": {"epochs": epochs, "steps": 0}} if epochs else None
        with self._project.lock():
            return fit(self._project, self._progress, resolve_recipe(recipe) if recipe else "", changes)

    def query(
        self, budget: float, unit: Unit = "labels", *, strategy: str = "", dry_run: bool = False, prelabels: bool = True
    ) -> "QueryResult":
        """Pick missing cells worth at most the budget, request them and close the round.

        Args:
            budget: how much to spend, in `unit`: "labels", "images" or "cost".
            unit: of the budget.
            strategy: another than the project's, this time.
            dry_run: pick, but request nothing.
            prelabels: write the model's predictions of the picks, to start labelling from.
        """
        from labelgrid.rounds.query import query
        from labelgrid.select.strategy import Budget

        wanted = Budget(budget, unit)
        with self._project.lock():
            return query(self._project, wanted, self._progress, strategy=strategy, dry_run=dry_run, prelabels=prelabels)

    def export(
        self, out: Place | None = None, *, to: str = "folder", round: int | None = None, link: bool = False
    ) -> "Exported":
        """Write the requests that are open for a labelling tool; any number of times.

        Args:
            out: where to; None: one folder a round, in the project.
            to: the tool.
            round: only this round's requests; 0 is the held-out images'.
            link: link to the images instead of copying them.
        """
        from labelgrid.project.export import export

        place = Path(out) if out is not None else None
        return export(self._project, place, round=round, link=link, tool=to, progress=self._progress)

    def cancel(self, cells: Iterable[str] = (), *, round: int | None = None, requeue: bool = False) -> int:
        """Take requests back, by id or as `IMAGE:TASK`, of a round, or all but the held-out images'; returns how many.

        With `requeue`, skipped cells become missing instead of requested ones.
        """
        from labelgrid.project.cancel import cancel

        return cancel(self._project, list(cells), round=round, requeue=requeue)

    def predict(self, images: Place, out: Place, *, known: Place | None = None, soft: bool = False) -> int:
        """Predict every task of images with the newest model, as label files `OUT/TASK/IMAGE`; returns how many.

        `images` is a folder or a file, `known` a folder of labels to feed in; `soft` adds class probabilities and the
        like as `.npz`.
        """
        from labelgrid.rounds.predict import predict

        labels = Path(known) if known else None
        return predict(self._project, Path(images), Path(out), labels, self._progress, soft=soft)

    def evaluate(self, labels: Place | None = None, *, split: Split = "heldout") -> dict[str, Any]:
        """Measure the newest model on a folder of labels, or a split of the project; as `evaluate --json` shows it."""
        from labelgrid.rounds.evaluate import evaluate_folder, evaluate_split

        if labels is not None:
            return evaluate_folder(self._project, Path(labels), self._progress)
        return evaluate_split(self._project, split, self._progress)

    def report(
        self, out: Place | None = None, *, plots: Place | None = None, pictures: bool = False
    ) -> "WrittenReport":
        """Write one HTML file of what the project has reached; to `report.html` in the project if `out` is None.

        `plots` is a folder for each figure as SVG and PNG; with `pictures`, shown cells of which no picture was kept
        are predicted.
        """
        from labelgrid.reporting.write import write_report

        page = Path(out) if out else self.folder / "report.html"
        return write_report(self.folder, page, Path(plots) if plots else None, pictures=pictures)

    def status(self) -> dict[str, Any]:
        """Images, cells by state, costs, rounds and the next command, as `status --json` shows them."""
        from labelgrid.project.status import status_of

        return status_of(self._project)

    def close(self) -> None:
        """Close the database; a `with` block does it at its end."""
        self._project.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def simulate(
    recipe: str,
    data: Place,
    out: Place,
    *,
    weights: Place = "",
    progress: "StudyProgress | None" = None,
    jobs: int = 0,
    **study: Any,
) -> "StudyResult":
    """Run or resume a study: simulated campaigns over a data set whose labels are hidden until they are bought.

    Runs are processes of their own, so a script that calls this does it below `if __name__ == "__main__":`.

    Args:
        recipe: one with a table [simulate]: a shipped one's name, or a path.
        data: the data set's root.
        out: the folder of all runs; an existing one is resumed.
        weights: a local file of backbone weights; "" fetches them where the recipe asks for it.
        progress: is told how far the reading of the images is, and the status of each run; silent if None.
        jobs: runs at a time; 0: one per processor core.
        study: keys of [simulate] instead of the recipe's, such as `strategies=["partal"], seeds=3, rounds=5`.

    Returns:
        the status of each run, and the records of what they measured.

    Raises:
        LabelgridError: a name or value is wrong, or the folder holds another study; nothing was run.
    """
    from labelgrid.simulation.request import StudyRequest
    from labelgrid.simulation.run_study import run_study

    file = Path(weights) if weights else None
    return run_study(StudyRequest.of(recipe, Path(data), Path(out), weights=file, changes=study, jobs=jobs), progress)


def _several(given: Places) -> list[Place]:
    """One thing or several, as a list."""
    return [given] if isinstance(given, str | Path) else list(given)


def _rows(tasks: Places) -> list[TaskRow]:
    found = [task_rows(task) if isinstance(task, Path) else [task_row(task)] for task in _several(tasks)]
    return [row for rows in found for row in rows]
