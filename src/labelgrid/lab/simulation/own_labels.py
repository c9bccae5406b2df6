"""Makes a study of a project's own labels, with a file and a data set. Loads no torch.

The project is only read. Its held-out images are the test split.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, command, note_unchanged
from labelgrid.basics.files import remove_folder, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Values
from labelgrid.lab.simulation.own_values import study_values
from labelgrid.lab.simulation.resume_check import check_folder
from labelgrid.lab.simulation.study_recipe import KEPT, LOCK, OWN_FILE, OWN_LABELS
from labelgrid.operations.labelled_copy import SUPPLIERS, copy_labelled
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import table_lines
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import load_tables


@dataclass(frozen=True)
class OwnStudy:
    """A study of a project's own labels.

    Args:
        recipe: its file.
        root: the project that is its data set.
        weights: the file of backbone weights that the project names.
    """

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
    made = [place for place in (path, root) if not place.exists()]
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
