"""Refuses to resume the runs of a study with settings or code that would change results."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import join_names
from labelgrid.lab.simulation.plugin_code import changed_plugins
from labelgrid.lab.simulation.run_identity import Difference, Identities, differences
from labelgrid.lab.simulation.runs import Run, has_work, runs_of
from labelgrid.lab.simulation.study_recipe import (
    KEPT,
    LOCK,
    OWN_FILE,
    OWN_LABELS,
    SHARES_LOCK,
    Study,
    earlier_values,
    kept_study,
    texts_of,
)
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_results import keys_with_records, recorded_runs
from labelgrid.project.folder import SETTINGS

#: The fields of a study that select, end, show or explain runs, and change none.
OPEN = frozenset(
    {"rounds", "strategies", "seeds", "full", "single", "spend", "until", "best_of", "explain"}
)
#: How many changes a message names.
SHOWN = 5


def widen_study(study: Study, old: Study) -> Study:
    """Add the strategies, seeds, rounds, `full` and `single` of the folder's study to another one.

    So all runs of the folder are resumed. Arms that the other study no longer has are left out.
    """
    removed = old.arms.keys() - study.arms.keys()
    kept = [name for name in old.strategies if name not in removed]
    return replace(
        study,
        strategies=tuple(dict.fromkeys([*kept, *study.strategies])),
        seeds=max(old.seeds, study.seeds),
        rounds=max(old.rounds, study.rounds),
        full=old.full or study.full,
        single=old.single or study.single,
    )


def extra_runs_note(asked: Study, wider: Study, old: Study) -> str:
    """Say that new seeds or rounds also go to arms of the folder beside the named arms.

    "" if they do not.
    """
    others = [name for name in wider.strategies if name not in asked.strategies]
    grown = [name for name in ("seeds", "rounds") if getattr(wider, name) > getattr(old, name)]
    more = [f"{getattr(wider, name)} {name}" for name in grown]
    if not others or not more:
        return ""
    return (
        f"The folder's other arms also get {' and '.join(more)}: {join_names(others, 5)}. "
        "To run some arms further than others, stop this and name another folder with --out."
    )


def check_same(
    request: StudyRequest, runs: Sequence[Run], identities: Identities, images: str = ""
) -> Json:
    """Refuse to resume runs with another identity or code, and a folder with foreign files.

    Runs that have trained nothing and have no record may change.

    Args:
        request: the request of all runs of the folder.
        runs: its runs.
        identities: the identities of the runs, without the images.
        images: the digest of its images; "" if it is not known yet.

    Returns:
        The values of `study.json` that describe the study and its runs.

    Raises:
        ProjectError: names what has changed. Nothing was run.
    """
    values = request.to_json()
    earlier = earlier_values(request.out)
    if earlier is None:
        check_folder(request.out)
        return values | identities.with_images(images).as_json()
    old = kept_study(earlier, request.out)
    started = _started(old, request.out)
    before = Identities.read(earlier)
    without = sorted(started - before.runs.keys())
    if without:
        raise _lacks_identities(earlier, without, request.out)
    now = identities.with_images(images or earlier.get("pictures", ""))
    changed: list[Difference] = []
    if any(request.out.glob("runs/*/")):  # the folder of a run refers to the root
        changed += differences(earlier.get("root"), values["root"], "root")
    if started - now.runs.keys():
        changed += differences(_selected(old), _selected(request.study), "simulate")
    changes = [
        *map(str, changed),
        *_identity_changes(sorted(started & now.runs.keys()), before, now),
    ]
    if changes:
        raise ProjectError(
            f"The folder holds runs with other settings: {join_names(changes, SHOWN, '; ')}.",
            where=request.out,
            next_step="Name another folder with --out, or restore the settings.",
        )
    code = changed_plugins(texts_of(earlier, "code"), texts_of(values, "code"))
    if code and started and not request.force and _any_left(request.study, runs, request.out):
        raise ProjectError(
            f"The code of {', '.join(code)} has changed since the folder's runs were started.",
            where=request.out,
            next_step="Restore it, name another folder with --out, or resume with --force; "
            "the report will note it.",
        )
    return values | now.as_json()


def check_folder(out: Path) -> None:
    """Refuse a folder without a study where other files are.

    Raises:
        ProjectError: the folder holds other files.
    """
    if out.is_dir() and any(_is_foreign(path) for path in out.iterdir()):
        raise ProjectError(
            "The folder holds other files than runs of a study.",
            where=out,
            next_step="Name a new folder with --out.",
        )


def _is_foreign(path: Path) -> bool:
    """Whether a file belongs neither to a new study nor to the rest of a killed call."""
    if path.name == OWN_LABELS:
        return not (path / SETTINGS).is_file()
    is_rest = path.name.startswith(".") and path.suffix in (".part", ".partial")
    return path.name not in (LOCK, SHARES_LOCK, OWN_FILE) and not is_rest


def _started(study: Study, out: Path) -> set[str]:
    """The keys of the runs that have a record, or trained something."""
    runs = runs_of(study)
    worked = {run.key for run in runs if has_work(out / "runs" / run.key)}
    return worked | keys_with_records(out, runs)


def _selected(study: Study) -> Json:
    """A study as JSON values, without the fields that change no run."""
    values: Json = json.loads(json.dumps(asdict(study)))
    for name in OPEN:
        del values[name]
    return values


def _identity_changes(keys: Iterable[str], before: Identities, now: Identities) -> list[str]:
    """Name each change of an identity, with the runs that changed."""
    runs: dict[str, list[str]] = {}
    for key in keys:
        for difference in before.changes(key, now):
            runs.setdefault(str(difference), []).append(key)
    return [f"{change} ({join_names(names, 2)})" for change, names in runs.items()]


def _any_left(study: Study, runs: Sequence[Run], out: Path) -> bool:
    """Whether a run has neither finished nor all its records."""
    recorded = recorded_runs(out, runs, study)
    absent = [run for run in runs if run.key not in recorded]
    return not all(run.is_done(study, out / "runs" / run.key) for run in absent)


def _lacks_identities(earlier: Values, without: Sequence[str], out: Path) -> ProjectError:
    """The error of runs without an identity: of an earlier version, or in a damaged file."""
    reads = "`labelgrid report` still reads this one."
    if "runs" in earlier or "identities" in earlier:
        return ProjectError(
            f"The study's file is damaged: the identity of {join_names(without, 2)} is missing.",
            where=out / KEPT,
            next_step=f"Restore it from a copy, or name another folder with --out. {reads}",
        )
    return ProjectError(
        "The folder holds runs of an earlier version, which kept no identities of runs; "
        "newer ones do not compare.",
        where=out,
        next_step=f"Name another folder with --out. {reads}",
    )
