"""What is asked of a study: checked before anything is run, beside what its folder holds already."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelgrid.campaign.project import Oracle, check_pattern
from labelgrid.campaign.recipe import Named, check_options, load
from labelgrid.campaign.source import dataset_of
from labelgrid.campaign.study import KEPT, Run, Study, read_json, runs_of
from labelgrid.errors import ProjectError, RecipeError
from labelgrid.labels.codec import digest
from labelgrid.progress import Progress
from labelgrid.tasks.task import definitions

#: What of a study may change between two calls: it says which runs there are and how long they go on, not what they do.
OPEN = frozenset({"rounds", "strategies", "seeds", "full", "spend", "until"})


@dataclass(frozen=True)
class Asked:
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
        recipe = json.loads(load(self.recipe).json())
        return {
            "recipe": recipe,
            "study": json.loads(json.dumps(asdict(self.study))),
            "root": str(self.root.absolute()),
            "weights": digest(Path(self.weights)) if self.weights else "",
        }


def check(asked: Asked) -> list[Run]:
    """The runs, after all that can be checked was checked.

    Raises:
        LabelgridError: a name is unknown, a value wrong, or the folder holds another study. Nothing was run.
    """
    study, runs = asked.study, runs_of(asked.study)
    for changes in {json.dumps(c): c for c in (run.changes(asked.study) for run in runs)}.values():
        recipe = load(asked.recipe, changes)
        check_options("nets", recipe.network)
        for name, options in recipe.score.items():
            check_options("score", Named(name, options))
    for strategy in study.strategies:
        check_options("select", Named(strategy))
    definitions(study.rows())
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


def pictures(asked: Asked, progress: Progress) -> str:
    """One digest of the images' ids, splits and pixels, of the study's first call; labels are hidden, so not of them.

    Raises:
        LabelgridError: `study.json` is damaged, or an image cannot be read.
    """
    before = _before(asked.out) or {}
    if before.get("pictures"):
        return str(before["pictures"])
    source, found = dataset_of(Oracle(asked.study.data, str(asked.root))), hashlib.blake2b(digest_size=16)
    splits = [(split, sorted(source.splits()[split])) for split in asked.study.parts]
    progress.start("Looking at the data", sum(len(names) for _, names in splits), "images")
    for split, names in splits:
        for name in names:
            pixels = source.image(name)
            found.update(f"{split}\0{name}\0{pixels.shape}\0".encode())
            found.update(pixels.tobytes())
            progress.advance()
    return found.hexdigest()


def _check_splits(asked: Asked) -> None:
    """Refuse a data set without the splits, and one split with two roles: what measures must not be learned from."""
    named = asked.study.parts
    known = asked.study.splits(asked.root)
    absent = [name for name in named if name not in known]
    if absent:
        fault = f"The data set has no split '{absent[0]}'."
    elif len(set(named)) < len(named):
        fault = f"Two of pool, test and val are one split: {', '.join(named)}."
    else:
        return
    raise RecipeError(
        fault,
        where=str(asked.root),
        next_step=f"It has: {', '.join(known) or 'none'}. Name its splits in [simulate]: pool, test, val.",
        unchanged="Nothing was run.",
    )


def _before(out: Path) -> dict[str, Any] | None:
    """What the folder's runs were begun as; None where it has none.

    Raises:
        ProjectError: the file is damaged.
    """
    found: dict[str, Any] | None = read_json(out / KEPT) if (out / KEPT).is_file() else None
    return found


def widened(asked: Asked) -> Asked:
    """With the strategies, seeds and rounds that its folder has already: what was begun is gone on with."""
    before = _before(asked.out)
    if before is None:
        return asked
    study, old = asked.study, before["study"]
    strategies = tuple(dict.fromkeys([*old["strategies"], *study.strategies]))
    seeds, rounds = max(old["seeds"], study.seeds), max(old["rounds"], study.rounds)
    return replace(
        asked,
        study=replace(study, strategies=strategies, seeds=seeds, rounds=rounds, full=old["full"] or study.full),
    )


def _check_same(asked: Asked) -> None:
    """Refuse to go on with runs that were begun otherwise."""
    before = _before(asked.out)
    if before is None:
        return
    now = asked.kept()
    changed = [key for key in ("recipe", "root", "weights") if before.get(key) != now[key]]
    changed += [
        f"simulate.{key}"
        for key in sorted(now["study"])
        if key not in OPEN and before["study"].get(key) != now["study"][key]
    ]
    if changed:
        raise ProjectError(
            f"The folder holds runs that were begun otherwise: {', '.join(changed)} changed.",
            where=str(asked.out),
            next_step="Name another folder with --out, or put it back as it was.",
            unchanged="Nothing was run.",
        )
