"""Writes overrides of the recipe to the settings, for all later trainings. Loads no torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labelgrid.basics.errors import UsageError
from labelgrid.basics.files import disk_errors, read_text, write_text
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import text_with_values
from labelgrid.recipes.resolve import check_recipe, load_recipe, override

#: What a failed write leaves.
UNCHANGED = "The settings are unchanged; nothing was trained."


def keep_changes(project: ProjectFolder, changes: Mapping[str, Any], recipe: str = "") -> None:
    """Write overrides to `[changes]` of `labelgrid.toml`, beside the present lines.

    Args:
        project: the project; its settings have the overrides from now on.
        changes: the overrides, table by table. A length of the training replaces one in another
            unit.
        recipe: a recipe named for a single training, which is not kept.

    Raises:
        UsageError: there are none, or a recipe was named.
        RecipeError: the recipe does not allow them. Nothing was written.
        ProjectError: the file cannot be written.
    """
    if recipe or not changes:
        given = f"Found --recipe {recipe}." if recipe else "Found none."
        raise UsageError(
            f"--keep writes what --set and --epochs say to {SETTINGS}, and nothing else. {given}",
            next_step=f"Add, for example, --set train.steps=2000; a recipe is the line `recipe` of "
            f"{project.folder / SETTINGS}.",
            unchanged="Nothing was trained.",
        )
    settings = project.settings
    merged = override(settings.changes, changes)
    check_recipe(load_recipe(settings.recipe, merged, beside=project.folder))
    file = project.folder / SETTINGS
    with disk_errors(file, UNCHANGED):
        write_text(file, text_with_values(read_text(file), "changes", merged))
    project.settings = replace(settings, changes=merged)
