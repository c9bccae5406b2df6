"""Makes a study of a project's own labels, with a file and a data set. Loads no torch.

The project is only read. Its held-out images are the test split.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.basics.config import merge, parse
from labelgrid.basics.errors import ProjectError, command, note_unchanged
from labelgrid.basics.files import remove_folder, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.lab.simulation.resume_check import check_folder
from labelgrid.lab.simulation.study_recipe import KEPT, LOCK, OWN_FILE, OWN_LABELS
from labelgrid.ledger.grid import State
from labelgrid.operations.labelled_copy import SUPPLIERS, copy_labelled
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.prices import prices_of
from labelgrid.project.settings import table_lines
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import load_tables

#: The least number of labelled training images of a study.
LEAST_IMAGES = 10
#: The share of the labelled images that have all labels from the start, and their least number.
INITIAL = 0.2
LEAST_INITIAL = 4
#: The share of the labels that a round buys.
BUDGET = 0.1
#: What a project's own strategy is compared with.
CHANCE = ("random_cells", "random_images")


@dataclass(frozen=True)
class OwnStudy:
    """A study of a project's own labels: the files of recipe and weights, and the data set."""

    recipe: Path
    root: Path
    weights: Path | None


@contextmanager
def own_study(
    folder: Path, out: Path, *, options: Values, progress: Progress, may_make: bool = True
) -> Iterator[OwnStudy]:
    """Yield the study in `out` of a project's labels, as `out/study.toml` describes it.

    If there is none, its file is written and the labelled part of the project is copied; both are
    removed again if the study is not begun within the block.

    Args:
        folder: the project.
        out: the folder of the study.
        options: values of [simulate].
        progress: receives the progress.
        may_make: whether the study may begin here; other processes may do so at the same time.

    Raises:
        LabelgridError: the folder is no project, or the project has too few labels, or there is no
            study that may not begin here.
    """
    path = out / OWN_FILE
    root = out / OWN_LABELS
    made = [part for part in (path, root) if not part.exists()]
    is_new_folder = not out.exists()
    try:
        with note_unchanged("Nothing was run."), _open(folder) as project:
            if made and not may_make:
                raise _not_begun(folder, out)
            if made:
                check_folder(out)
            if root in made:
                _make(project, path, root, options=options, progress=progress)
            else:
                progress.say("The labels are those that the project had when this study began.")
            weights = project.weights()
        yield OwnStudy(path, root, weights)
    finally:
        if not (out / KEPT).exists():
            _remove(made, out if is_new_folder else None)


def _not_begun(folder: Path, out: Path) -> ProjectError:
    words = "simulate", "--data", folder, "--out", out
    begin = command(*words)
    return ProjectError(
        "The labels of the project are not copied yet, which several shares cannot do at once.",
        where=out,
        next_step=f"Begin with `{begin}`, and stop it when the first run trains.",
    )


def _open(folder: Path) -> ProjectFolder:
    if not (folder / SETTINGS).is_file():
        raise ProjectError(
            "There is no labelgrid project.",
            where=folder,
            next_step="Name the folder of a project, or name a RECIPE of a study, too.",
        )
    return ProjectFolder.open(folder, read_only=True)


def _remove(made: list[Path], folder: Path | None) -> None:
    """Remove new files, and the study's folder if no file is left."""
    for path in made:
        remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)
    if folder and folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK}:
        remove_folder(folder)


def _make(
    project: ProjectFolder, path: Path, root: Path, *, options: Values, progress: Progress
) -> None:
    settings = project.settings
    if settings.oracle:
        raise ProjectError(
            "This is a run of a study: its labels are those of the study's data set.",
            where=project.folder,
            next_step="Name a project with labels of your own.",
        )
    values = study_values(project, options, progress)
    tables = load_tables(settings.recipe, settings.changes, beside=project.folder)
    recipe = parse(Recipe, tables, "the project's recipe")
    suppliers = [name for name, choice in recipe.suppliers.items() if choice.is_on]
    for name in suppliers:
        tables["suppliers"][name]["folder"] = f"{SUPPLIERS}/{name}"
    if not path.exists():
        write_text(path, _text(project.folder, path.parent, {**tables, "simulate": values}))
    copy_labelled(project, root, suppliers, progress)


def _text(project: Path, out: Path, tables: Values) -> str:
    copy = f"labelgrid simulate {out / OWN_FILE} --data {out / OWN_LABELS} --out ANOTHER"
    lines = [
        f"# Compares strategies on the labels of {project}; docs/simulate.md describes the keys.",
        f"# To run it with other values, copy it to another folder: {copy}",
    ]
    for name, table in tables.items():
        lines += ["", *table_lines(name, table)]
    return "".join(f"{line}\n" for line in lines)


def study_values(project: ProjectFolder, options: Values, progress: Progress) -> Json:
    """The table [simulate] of a study of a project's labels, where `options` replace defaults.

    The progress is told which tasks are left out, for lack of labels.

    Raises:
        ProjectError: the project has too few labels.
    """
    settings = project.settings
    used = _usable_tasks(project, options.get("only", ()), progress)
    sizes = _pool_sizes(project, used)
    if sizes["images"] < LEAST_IMAGES:
        raise ProjectError(
            f"A study needs at least {LEAST_IMAGES} labelled training images. "
            f"The project has {sizes['images']:.0f}.",
            where=project.folder,
            next_step="Import more labels.",
        )
    unit = options.get("unit", "labels")
    prices = prices_of(project)
    image = {"labels": len(used), "images": 1, "cost": sum(prices[name] for name in used)}
    has_val = any(count.labelled for count in project.store.counts(("val",)).values())
    tasks = {}
    for row in project.store.tasks():
        tasks[row.name] = {"kind": row.kind, "cost": prices[row.name], **row.options}
    values = {
        "data": "project",
        "pool": "train",
        "test": "heldout",
        "val": "val" if has_val else "",
        "only": used,
        "initial": max(LEAST_INITIAL, round(INITIAL * sizes["images"])),
        "budget": max(round(BUDGET * sizes.get(unit, 0)), image.get(unit, 1)),
        "unit": unit,
        "rounds": 3,
        "seeds": 3,
        "strategies": list(dict.fromkeys([settings.strategy.name, *CHANCE])),
        "group": settings.group,
        "tasks": tasks,
    }
    if settings.strategy.options:
        values["variants"] = {settings.strategy.name: dict(vars(settings.strategy))}
    values = merge(values, {**options, "only": used})
    _check_amount(project, sizes, values)
    return values


def _usable_tasks(project: ProjectFolder, only: Sequence[str], progress: Progress) -> list[str]:
    """The tasks with labels to buy, and labels to measure on."""
    pool = project.store.counts(("train",))
    heldout = project.store.counts(("heldout",))
    asked = [name for name in pool if not only or name in only]
    used = [name for name in asked if pool[name].labelled and heldout[name].labelled]
    if not any(heldout[name].labelled for name in asked):
        raise ProjectError(
            "No held-out image has a label, so nothing can be measured.",
            where=project.folder,
            next_step=f"Hold out images with `labelgrid add {project.folder} --holdout 20%`, and "
            "import their labels.",
        )
    if not used:
        raise ProjectError(
            "No task has labels of training images and of held-out images.",
            where=project.folder,
            next_step="Import labels of both.",
        )
    left_out = [name for name in asked if name not in used]
    if left_out:
        progress.say(
            f"Left out, for lack of labels of training or held-out images: {join_names(left_out)}."
        )
    return used


def _pool_sizes(project: ProjectFolder, tasks: Sequence[str]) -> dict[str, float]:
    """The size of the labelled part of the pool, by the unit of budgets."""
    grid = project.store.grid(("train",))
    columns = [grid.tasks.index(name) for name in tasks]
    labelled = grid.state[:, columns] == State.LABELLED
    prices = prices_of(project)
    cost = np.array([prices[name] for name in tasks])
    return {
        "labels": float(labelled.sum()),
        "images": float(labelled.any(1).sum()),
        "cost": float((labelled * cost).sum()),
    }


def _check_amount(project: ProjectFolder, sizes: Mapping[str, float], values: Values) -> None:
    """Refuse a study that would buy more than there is: all strategies would end alike."""
    unit = values["unit"]
    amount = sizes.get(unit, 0)
    initial = values["initial"] * amount / sizes["images"]
    needed = initial + values["rounds"] * values["budget"]
    if unit in sizes and needed > amount:
        raise ProjectError(
            f"The study needs {needed:.0f} {unit}: about {initial:.0f} at the start, and "
            f"{count_text(values['rounds'], 'round')} of {values['budget']:g}. The project has "
            f"{amount:.0f} in its training images.",
            where=project.folder,
            next_step="Lower `--initial`, `--budget` or `--rounds`, or import more labels.",
        )
