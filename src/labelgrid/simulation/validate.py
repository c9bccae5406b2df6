"""Which studies are refused: everything is checked before anything is run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from labelgrid.errors import ProjectError, RecipeError
from labelgrid.labels.codec import digest
from labelgrid.progress import Progress
from labelgrid.project.settings import Oracle, check_pattern
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.files import load_recipe
from labelgrid.recipes.resolve import build_plugin, check_options
from labelgrid.recipes.schema import PluginChoice
from labelgrid.report.wording import counted
from labelgrid.select.strategy import Strategy
from labelgrid.simulation.study import KEPT, LOCK, Run, Study, kept_study, read_json, runs_of
from labelgrid.tasks.task import definitions

#: What of a study may change between two calls: it says which runs there are and how long they go on, not what they do.
OPEN = frozenset({"rounds", "strategies", "seeds", "full", "spend", "until"})


@dataclass(frozen=True)
class StudyRequest:
    """What is to be run.

    Args:
        recipe: a shipped recipe's name, or the absolute path of one.
        root: of the data set.
        weights: a local file of backbone weights, absolute; "" fetches them where the recipe asks for it.
    """

    recipe: str
    study: Study
    root: Path
    weights: str
    out: Path

    def kept(self) -> dict[str, Any]:
        """As `study.json` keeps it."""
        recipe = json.loads(load_recipe(self.recipe).json())
        return {
            "recipe": recipe,
            "study": json.loads(json.dumps(asdict(self.study))),
            "root": str(self.root.absolute()),
            "weights": digest(Path(self.weights)) if self.weights else "",
        }


def check(asked: StudyRequest) -> list[Run]:
    """The runs, after all that can be checked was checked.

    Raises:
        LabelgridError: a name is unknown, a value wrong, or the folder holds another study. Nothing was run.
    """
    study, runs = asked.study, runs_of(asked.study)
    for changes in {json.dumps(c): c for c in (run.changes(asked.study) for run in runs)}.values():
        recipe = load_recipe(asked.recipe, changes)
        check_options("nets", recipe.network)
        for name, options in recipe.score.items():
            check_options("score", PluginChoice(name, options))
    definitions(study.rows())
    for strategy in study.strategies:
        _check_strategy(study, strategy)
    check_pattern(study.group)
    unknown = [name for name in study.until if name != "loss_mtl" and name.partition("/")[0] not in study.tasks]
    if unknown:
        raise RecipeError(
            f"until names '{unknown[0]}', which is no figure of a task.",
            next_step='A figure is "TASK/METRIC", such as "semseg/mIoU", or "loss_mtl".',
        )
    _check_splits(asked)
    _check_same(asked)
    return runs


def _check_strategy(study: Study, name: str) -> None:
    """Refuse one that is unknown, wrong options, and a budget that buys no whole image where it buys these."""
    chosen = study.chosen(name)
    made: Strategy = build_plugin("select", PluginChoice(chosen.name, chosen.options))
    prices = {"labels": len(study.tasks), "cost": sum(row.cost for row in study.rows()), "images": 1}
    if made.unit == "images" and study.budget < prices[study.unit]:
        raise RecipeError(
            f"The budget of {study.budget:g} {study.unit} does not pay for one image, and '{name}' buys whole images.",
            next_step=f"An image with all its labels takes {prices[study.unit]:g} {study.unit}.",
            unchanged="Nothing was run.",
        )


def pictures(asked: StudyRequest, progress: Progress) -> str:
    """One digest of the images' ids, splits and pixels; labels are hidden, so not of them.

    Raises:
        ProjectError: the runs that are there began with other images. LabelgridError: an image cannot be read.
    """
    source, found = dataset_of(Oracle(asked.study.data, str(asked.root))), hashlib.blake2b(digest_size=16)
    splits = [(split, sorted(source.splits()[split])) for split in asked.study.parts]
    progress.start("Looking at the data", sum(len(names) for _, names in splits), "images")
    for split, names in splits:
        for name in names:
            pixels = source.image(name)
            found.update(f"{split}\0{name}\0{pixels.shape}\0".encode())
            found.update(pixels.tobytes())
            progress.advance()
    before = (_before(asked.out) or {}).get("pictures", "")
    if before not in ("", found.hexdigest()):
        raise ProjectError(
            "The data set's images or splits have changed since the folder's runs were begun.",
            where=str(asked.root),
            next_step="Put them back as they were, or name another folder with --out.",
            unchanged="Nothing was run.",
        )
    return found.hexdigest()


def _check_splits(asked: StudyRequest) -> None:
    """Refuse a data set without the splits, and an image or split of two roles: what measures is not learned from."""
    named = asked.study.parts
    known = asked.study.splits(asked.root)
    absent = [name for name in named if name not in known]
    if absent:
        fault = f"The data set has no split '{absent[0]}'."
    elif len(set(named)) < len(named):
        fault = f"Two of pool, test and val are one split: {', '.join(named)}."
    else:
        _check_apart({name: known[name] for name in named}, asked.root)
        return
    raise RecipeError(
        fault,
        where=str(asked.root),
        next_step=f"It has: {', '.join(known) or 'none'}. Name its splits in [simulate]: pool, test, val.",
        unchanged="Nothing was run.",
    )


def _check_apart(splits: Mapping[str, Sequence[str]], root: Path) -> None:
    """Refuse an image of two splits: its label would be open from the start, or never measured on."""
    for first, second in combinations(splits, 2):
        shared = sorted(set(splits[first]) & set(splits[second]))
        if shared:
            raise RecipeError(
                f"The splits {first} and {second} share {counted(len(shared), 'image')}, such as '{shared[0]}'.",
                where=str(root),
                next_step="Take them out of one of the two.",
                unchanged="Nothing was run.",
            )


def _before(out: Path) -> dict[str, Any] | None:
    """What the folder's runs were begun as; None where it has none.

    Raises:
        ProjectError: the file is damaged.
    """
    return read_json(out / KEPT) if (out / KEPT).is_file() else None


def widened(asked: StudyRequest) -> StudyRequest:
    """With the strategies, seeds and rounds that its folder has already: what was begun is gone on with."""
    before = _before(asked.out)
    if before is None:
        return asked
    study, old = asked.study, kept_study(before, asked.out)
    strategies = tuple(dict.fromkeys([*old.strategies, *study.strategies]))
    seeds, rounds, full = max(old.seeds, study.seeds), max(old.rounds, study.rounds), old.full or study.full
    return replace(asked, study=replace(study, strategies=strategies, seeds=seeds, rounds=rounds, full=full))


def _check_same(asked: StudyRequest) -> None:
    """Refuse to go on with runs that were begun otherwise, and a folder that holds something else."""
    before = _before(asked.out)
    if before is None:
        if asked.out.is_dir() and {path.name for path in asked.out.iterdir()} - {LOCK}:
            raise ProjectError(
                "The folder holds something else than runs of a study.",
                where=str(asked.out),
                next_step="Name a new folder with --out.",
                unchanged="Nothing was run.",
            )
        return
    now, old, study = asked.kept(), kept_study(before, asked.out), asked.study
    study = replace(study, variants={name: one for name, one in study.variants.items() if name in old.variants})
    fixed = sorted({field.name for field in fields(Study)} - OPEN)
    changed = [key for key in ("recipe", "root", "weights") if before.get(key) != now[key]]
    changed += [f"simulate.{name}" for name in fixed if getattr(old, name) != getattr(study, name)]
    if changed:
        raise ProjectError(
            f"The folder holds runs that were begun otherwise: {', '.join(changed)} changed.",
            where=str(asked.out),
            next_step="Name another folder with --out, or put it back as it was.",
            unchanged="Nothing was run.",
        )
