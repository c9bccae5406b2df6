"""Refuses to resume the runs in a study's folder with settings or code that would change them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from labelgrid.config import is_extension
from labelgrid.errors import ProjectError
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.run_records import keys_with_records, recorded_runs
from labelgrid.simulation.runs import Run, has_work, runs_of
from labelgrid.simulation.study import LOCK, Study, kept_study
from labelgrid.train.options import WITHOUT_EFFECT
from labelgrid.words import join_names

#: The fields of a study that may change between two calls: they select, end, show or explain runs,
#: and change none.
OPEN = frozenset(
    {"rounds", "strategies", "seeds", "full", "single", "spend", "until", "best_of", "explain"}
)


def widen_request(request: StudyRequest) -> StudyRequest:
    """Add the strategies, seeds, rounds, `full` and `single` of its folder to a request.

    So all runs of the folder are resumed. Arms that the recipe no longer has and that have no run
    are left out.

    Raises:
        ProjectError: the recipe no longer has an arm that has a run.
    """
    previous = request.previous()
    if previous is None:
        return request
    study = request.study
    old = kept_study(previous, request.out)
    removed = old.arms.keys() - study.arms.keys()
    started = _started(old, request.out).values()
    _refuse_changed(
        [f"simulate.arms.{name}" for name in sorted(removed & set(started))], request.out
    )
    kept = [name for name in old.strategies if name not in removed]
    strategies = tuple(dict.fromkeys([*kept, *study.strategies]))
    wider = {
        name: max(getattr(old, name), getattr(study, name))
        for name in ("seeds", "rounds", "full", "single")
    }
    return replace(request, study=replace(study, strategies=strategies, **wider))


def extra_runs_note(asked: StudyRequest, wider: StudyRequest) -> str:
    """Say that new seeds or rounds also go to arms of the folder that were not asked for.

    "" if they do not.
    """
    previous = asked.previous()
    if previous is None:
        return ""
    old = kept_study(previous, asked.out)
    study = wider.study
    others = [name for name in study.strategies if name not in asked.study.strategies]
    more = [
        f"{getattr(study, name)} {name}"
        for name in ("seeds", "rounds")
        if getattr(study, name) > getattr(old, name)
    ]
    if not others or not more:
        return ""
    return (
        f"The folder's other arms also get {' and '.join(more)}: {join_names(others, 5)}. "
        "To run some arms further than others, stop this and name another folder with --out."
    )


def _is_foreign(name: str) -> bool:
    """Whether a file without a study is neither the lock nor the rest of a killed call."""
    return name != LOCK and not (name.startswith(".") and name.endswith(".part"))


def check_same(request: StudyRequest, runs: Sequence[Run]) -> None:
    """Refuse to resume runs with other settings or code, and a folder that holds other files.

    Raises:
        ProjectError: names the settings that have changed. Nothing was run.
    """
    previous = request.previous()
    if previous is None:
        if request.out.is_dir() and any(_is_foreign(path.name) for path in request.out.iterdir()):
            raise ProjectError(
                "The folder holds other files than runs of a study.",
                where=str(request.out),
                next_step="Name a new folder with --out.",
                unchanged="Nothing was run.",
            )
        return
    now = request.to_json()
    old = kept_study(previous, request.out)
    study = request.study
    _check_version(previous, now, request.out)
    old = replace(old, tasks=old.used_tasks)  # the others change no run
    study = replace(
        study,
        tasks=study.used_tasks,
        variants={
            name: variant for name, variant in study.variants.items() if name in old.variants
        },
    )
    fixed = sorted({field.name for field in fields(Study)} - OPEN - {"arms"})
    keys = ["recipe", "weights"]
    if any(request.out.glob("runs/*/")) or not previous.get("pictures"):  # runs refer to their data
        keys.append("root")
    changed = [key for key in keys if _compared(previous.get(key)) != _compared(now[key])]
    scoring = now["scoring"]
    training = now["training"]
    cells = now.get("cells", {})
    changed += [
        f"score.{n}"
        for n, known in previous.get("scoring", {}).items()
        if scoring.get(n, known) != known
    ]
    changed += [
        f"{folder}.{name}"
        for folder, plugins in previous.get("training", {}).items()
        for name, known in plugins.items()
        if not is_extension(training.get(folder, {}).get(name), known)
    ]
    changed += [
        path for path, known in previous.get("cells", {}).items() if cells.get(path, known) != known
    ]
    changed += [f"simulate.{name}" for name in fixed if getattr(old, name) != getattr(study, name)]
    run_keys = {run.key for run in runs}
    for name in _changed_arms(old, study, request.out, run_keys):
        changed.append(f"simulate.arms.{name}")
    _refuse_changed(changed, request.out)
    _check_code(request, runs)


def _compared(value: Any) -> Any:
    """A value of `study.json`; a recipe without the options of `[train]` that change no result."""
    if not (isinstance(value, Mapping) and isinstance(value.get("train"), Mapping)):
        return value
    return {
        **value,
        "train": {name: one for name, one in value["train"].items() if name not in WITHOUT_EFFECT},
    }


def _refuse_changed(changed: Sequence[str], out: Path) -> None:
    if changed:
        raise ProjectError(
            f"The folder holds runs with other settings: {', '.join(changed)} changed.",
            where=str(out),
            next_step="Name another folder with --out, or restore the settings.",
            unchanged="Nothing was run.",
        )


def _started(study: Study, out: Path) -> dict[str, str]:
    """The arms of the runs that have a record, or trained something, by run key."""
    runs = runs_of(study)
    recorded = keys_with_records(out, runs)
    return {
        run.key: run.arm for run in runs if run.key in recorded or has_work(out / "runs" / run.key)
    }


def _changed_arms(old: Study, new: Study, out: Path, keys: Set[str]) -> list[str]:
    """Name the changed arms that have a run.

    Names all changed arms if a run in the folder is not among `keys`, the runs of the new study:
    one of the arms shared its start with that run, and does no longer.
    """
    started = _started(old, out)
    changed = sorted(name for name in {*old.arms, *new.arms} if old.arm(name) != new.arm(name))
    return (
        changed if started.keys() - keys else [name for name in changed if name in started.values()]
    )


def _check_code(request: StudyRequest, runs: Sequence[Run]) -> None:
    """Refuse to resume runs with changed code of own plug-ins, unless none is left."""
    other = [] if request.force else request.changed_code()
    recorded = recorded_runs(request.out, runs, request.study) if other else {}
    left = [run for run in runs if run.key not in recorded]
    if other and not all(
        run.is_done(request.study, request.out / "runs" / run.key) for run in left
    ):
        raise ProjectError(
            f"The code of {', '.join(other)} has changed since the folder's runs were started.",
            where=str(request.out),
            next_step="Restore it, name another folder with --out, or resume with --force; "
            "the report will note it.",
            unchanged="Nothing was run.",
        )


def _check_version(previous: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Refuse to add runs to those of an earlier version, whose settings lack keys.

    Its networks or scores may differ.
    """
    recorded = previous.get("recipe", {})
    before = {
        name: recorded[name]
        for name in ("data", "backbone", "train", "objective")
        if name in recorded
    }
    before |= {f"score.{name}": options for name, options in previous.get("scoring", {}).items()}
    current = now["recipe"] | {f"score.{name}": options for name, options in now["scoring"].items()}
    missing = [
        f"{n}.{key}"
        for n, known in before.items()
        for key in current.get(n, {})
        if key not in known
    ]
    if missing:
        raise ProjectError(
            f"The folder holds runs of an earlier version, without {', '.join(missing)}; "
            "newer ones do not compare.",
            where=str(out),
            next_step="Name another folder with --out. `labelgrid report` still reads this one.",
            unchanged="Nothing was run.",
        )
