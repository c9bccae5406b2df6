"""Laws of resuming a study: with the same settings alone, but for what has no run yet."""

import fcntl
import json
from dataclasses import make_dataclass, replace
from pathlib import Path
from shutil import rmtree

import pytest

from labelgrid.basics.errors import ImageError, LabelgridError, ProjectError
from labelgrid.basics.files import write_text
from labelgrid.lab.simulation import run_identity, run_study
from labelgrid.lab.simulation.resume_check import extra_runs_note
from labelgrid.lab.simulation.run_jobs import jobs_of, settings_of
from labelgrid.lab.simulation.runs import DONE
from labelgrid.lab.simulation.study_recipe import earlier_values, study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.nets.networks import pad_net
from labelgrid.select.strategies import random_cells
from tests.projects import write_own
from tests.studies import begin, resumable, study_request, train_some, widened


def edited(of: StudyRequest, **values: object) -> None:
    """Change values of the folder's `study.json`."""
    path = of.out / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_scores_of_other_defaults_or_of_versions_with_fewer_options_get_no_more_runs(
    tmp_path: Path,
) -> None:
    begun = study_request(tmp_path)
    begin(begun)
    resumable(begun)
    kept = earlier_values(begun.out)
    key = kept["runs"]["partal-seed0"]
    dropout = kept["identities"][key]["score"]["dropout"]
    fewer = {name: value for name, value in dropout.items() if name != "at"}
    for options, fault in (
        (fewer, r"score\.dropout\.at is new \(partal-seed0\)"),
        (dropout | {"at": "original"}, r'score\.dropout\.at changed from "original" to'),
    ):
        kept["identities"][key]["score"]["dropout"] = options
        edited(begun, **kept)
        with pytest.raises(ProjectError, match=f"with other settings: {fault}"):
            resumable(begun)
    rmtree(begun.out / "runs" / "partal-seed0")  # the other strategy needs no scores
    resumable(begun)


def test_runs_without_identities_are_of_an_earlier_version_and_get_no_more(tmp_path: Path) -> None:
    begun = study_request(tmp_path)
    begin(begun)
    path = begun.out / "study.json"
    kept = json.loads(path.read_text())
    del kept["runs"], kept["identities"]
    path.write_text(json.dumps(kept))
    with pytest.raises(ProjectError, match=r"of an earlier version.*\n.*report` still reads"):
        resumable(begun)
    rmtree(begun.out / "runs")
    assert resumable(begun)


@pytest.mark.parametrize("part", ["runs", "identities"])
@pytest.mark.parametrize("damage", [None, 3, {}, {"partal-seed0": "gone"}])
def test_an_identity_that_is_damaged_is_said_to_be_and_where_it_was(
    tmp_path: Path, part: str, damage: object
) -> None:
    begun = study_request(tmp_path)
    begin(begun, ["partal-seed0"])
    edited(begun, **{part: damage})
    with pytest.raises(ProjectError) as refused:
        resumable(begun)
    assert "is damaged: the identity of partal-seed0 is missing" in refused.value.what
    assert refused.value.where == str(begun.out / "study.json")
    assert "Restore it from a copy" in refused.value.next_step


def test_a_study_that_has_trained_nothing_may_change(tmp_path: Path) -> None:
    begin(study_request(tmp_path), [])
    assert resumable(study_request(tmp_path, budget=4, threads=2))


def test_a_budget_counts_for_the_runs_that_buy(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    begin(of, ["start-seed0", "full-seed0"])
    other = study_request(tmp_path, budget=4)
    assert resumable(other)
    train_some(of.out / "runs" / "partal-seed0")
    message = r"settings: simulate\.budget changed from 5\.0 to 4\.0 \(partal-seed0\)"
    with pytest.raises(ProjectError, match=message):
        resumable(other)


def test_a_start_that_has_changed_is_named_by_the_run_that_continues_it(tmp_path: Path) -> None:
    begin(study_request(tmp_path), ["partal-seed0"])
    other = study_request(tmp_path, changes={"start": {"train": {"steps": 4}}})
    message = r"settings: start\.train\.steps changed from 0 to 4 \(partal-seed0\)"
    with pytest.raises(ProjectError, match=message):
        resumable(other)


def test_earlier_runs_are_resumed(tmp_path: Path) -> None:
    first = study_request(tmp_path, strategies=["random_cells"], seeds=3, rounds=2)
    assert widened(first) == first
    begin(first)
    more = widened(study_request(tmp_path, strategies=["random_images"], seeds=1, rounds=1)).study
    assert (more.strategies, more.seeds, more.rounds) == (("random_cells", "random_images"), 3, 2)
    assert resumable(widened(study_request(tmp_path)))


def test_other_runs_are_refused_in_a_folder_that_has_some(tmp_path: Path) -> None:
    weights = tmp_path / "a.pth"
    weights.write_bytes(b"one")
    of = replace(study_request(tmp_path), weights=str(weights))
    begin(of)
    assert resumable(of)
    weights.write_bytes(b"two")
    for other, key in (
        (of, "weights"),
        (study_request(tmp_path), "weights"),
        (replace(of, study=study_of(of.recipe, {"budget": 4})), "simulate.budget changed"),
        (replace(of, study=study_of(of.recipe, {"threads": 2})), "simulate.threads changed"),
        (replace(of, study=study_of(of.recipe, {"grid": {"train.steps": [5]}})), "simulate.grid"),
    ):
        with pytest.raises(LabelgridError, match=f"with other settings: .*{key}"):
            resumable(other)
    (of.out / "study.json").write_text("{")
    with pytest.raises(LabelgridError, match="is damaged"):
        resumable(of)


def test_an_arm_may_change_until_it_has_a_run(tmp_path: Path) -> None:
    def with_steps(steps: int) -> StudyRequest:
        arms = {
            "a": {"strategy": "random_cells"},
            "b": {"strategy": "random_cells", "changes": {"train": {"steps": steps}}},
        }
        return study_request(tmp_path, arms=arms, strategies=["a", "b"])

    begin(with_steps(3), ["a-seed0"])
    run = tmp_path / "out" / "runs"
    assert resumable(with_steps(4))
    for name in ("b-seed0", "start.b-seed0"):
        (run / name).mkdir()
        assert resumable(with_steps(4))  # it failed, or was killed, before it trained anything
        train_some(run / name)
        with pytest.raises(ProjectError, match=rf"with other settings: .*steps changed .*{name}"):
            resumable(with_steps(4))
        rmtree(run / name)
    assert resumable(with_steps(4))


def test_an_arm_does_not_take_over_the_runs_of_another_one(tmp_path: Path) -> None:
    def with_steps(a: int, b: int) -> StudyRequest:
        arms = {
            name: {"strategy": "random_cells", "changes": {"train": {"steps": steps}}}
            for name, steps in (("a", a), ("b", b))
        }
        return study_request(tmp_path, arms=arms, strategies=["a", "b"])

    begin(with_steps(3, 4), ["start.b-seed0"])
    assert resumable(with_steps(5, 4))
    with pytest.raises(
        ProjectError, match=r"with other settings: simulate\.arms\.a\..*steps changed"
    ):
        resumable(
            with_steps(4, 4)
        )  # a's start would be that of b, and start.b-seed0 no run of the study


def test_a_strategy_with_a_run_does_not_become_an_arm_with_other_settings(tmp_path: Path) -> None:
    begin(study_request(tmp_path, strategies=["random_cells"]), ["random_cells-seed0"])
    arms = {"random_cells": {"strategy": "random_images", "changes": {"train": {"steps": 3}}}}
    with pytest.raises(
        ProjectError, match=r"with other settings: .*strategy\.name changed .*random_cells-seed0"
    ):
        resumable(study_request(tmp_path, arms=arms, strategies=["random_cells"]))


def test_a_study_is_resumed_with_a_cache_but_not_with_another_rate(tmp_path: Path) -> None:
    begun = study_request(tmp_path)
    begin(begun)
    recipe = Path(begun.recipe)
    recipe.write_text(recipe.read_text().replace("[train]", "[train]\ncache = 0.5", 1))
    again = StudyRequest.of(begun.recipe, begun.root, begun.out)
    assert again.to_json()["recipe"]["train"]["cache"] == 0.5 and resumable(again)
    recipe.write_text(recipe.read_text().replace("cache = 0.5", "clip = 3.0", 1))
    with pytest.raises(
        ProjectError, match=r"with other settings: start\.train\.clip changed|train\.clip changed"
    ):
        resumable(StudyRequest.of(begun.recipe, begun.root, begun.out))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    of.out.mkdir()
    (of.out / ".lock").touch()  # of a call that was stopped early
    (
        of.out / ".0123456789abcdef.part"
    ).touch()  # of a call that was killed while it wrote study.json
    assert resumable(of)
    (of.out / "recipe.toml").write_text("mine")
    with pytest.raises(ProjectError, match="holds other files than runs of a study"):
        resumable(of)


@pytest.mark.parametrize("damaged", ["{}", "[]", '{"study": 3}', "no JSON"])
def test_a_damaged_study_is_a_clear_refusal(tmp_path: Path, damaged: str) -> None:
    of = study_request(tmp_path)
    of.out.mkdir()
    (of.out / "study.json").write_text(damaged)
    with pytest.raises(LabelgridError, match=r"study\.json"):
        widened(of)


def test_a_study_of_some_tasks_goes_on_when_another_task_is_added(tmp_path: Path) -> None:
    of = study_request(tmp_path, only=["depth"])
    begin(of)
    kept = json.loads((of.out / "study.json").read_text())
    del kept["study"]["tasks"]["semseg"]
    (of.out / "study.json").write_text(json.dumps(kept))
    assert resumable(widened(of))
    with pytest.raises(ProjectError, match=r"settings: .*tasks\.semseg is new"):
        resumable(widened(study_request(tmp_path)))


def test_variants_may_be_added_to_a_study_and_not_changed(tmp_path: Path) -> None:
    raw, each = ({"name": "partal", "options": {"normalise": how}} for how in ("none", "each"))
    begin(study_request(tmp_path, variants={"raw": raw}, strategies=["raw"]))
    assert resumable(
        widened(study_request(tmp_path, variants={"raw": raw, "each": each}, strategies=["each"]))
    )
    with pytest.raises(ProjectError, match=r"strategy\.options\.normalise changed"):
        resumable(widened(study_request(tmp_path, variants={"raw": each}, strategies=["raw"])))


def test_a_study_may_ask_for_explanations_at_any_time(tmp_path: Path) -> None:
    plain, asking = study_request(tmp_path), study_request(tmp_path, explain=True)
    begin(plain)
    runs = resumable(asking)
    explains = [
        settings_of(runs[-1], of.recipe, weights="", study=of.study, root=of.root).explains
        for of in (plain, asking)
    ]
    assert explains == [False, True]


def test_runs_are_not_resumed_with_another_default_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = study_request(tmp_path)
    begin(of)
    earlier = make_dataclass(
        "Options", [("encoder_dropout", float, 0.5)], bases=(pad_net.Options,), frozen=True
    )
    monkeypatch.setattr(pad_net, "Options", earlier)
    with pytest.raises(
        ProjectError, match=r"other settings: options\.networks\.pad_net.* (changed|is gone)"
    ):
        resumable(of)


def test_runs_are_not_resumed_with_other_code_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(random_cells.__file__).read_text()
    write_own(tmp_path, monkeypatch, {"own_strategy_of_test": text})
    code = tmp_path / "own_strategy_of_test.py"
    of = study_request(tmp_path, strategies=["own_strategy_of_test:build"])
    begin(of)
    assert resumable(of)
    code.write_text(code.read_text() + "# changed\n")
    with pytest.raises(
        ProjectError, match=r"The code of own_strategy_of_test:build has changed.*\n.*--force"
    ):
        resumable(of)
    assert resumable(replace(of, force=True))
    jobs = jobs_of(of, resumable(replace(of, force=True)))
    before = earlier_values(of.out)
    now = of.to_json()
    history = run_study._history(before, now, jobs)
    assert "with other code of own_strategy_of_test:build" in history["notes"][-1]
    for job in jobs.values():
        write_text(job.folder / DONE, job.run.done_text(job.study))
    code = {"code": before["code"]}  # no run is left: all are of the code of before
    assert before["code"] != now["code"] and run_study._history(before, now, jobs) == code
    assert resumable(of)


def test_what_the_report_shows_in_hindsight_may_change_between_two_calls(tmp_path: Path) -> None:
    begin(study_request(tmp_path))
    resumable(study_request(tmp_path, best_of={"Best": ["partal", "random_cells"]}))


def of_arms(folder: Path, **steps: int) -> StudyRequest:
    arms = {
        name: {"strategy": "random_cells", "changes": {"train": {"steps": number}}}
        for name, number in steps.items()
    }
    return study_request(folder, arms=arms, strategies=[*steps])


def test_an_arm_without_a_run_may_be_renamed_or_removed(tmp_path: Path) -> None:
    begin(of_arms(tmp_path, a=3, b=4), ["a-seed0"])
    renamed = widened(of_arms(tmp_path, a=3, c=4))
    assert renamed.study.strategies == ("a", "c") and resumable(renamed)
    with pytest.raises(ProjectError, match=r"with other settings: simulate\.arms\.a is gone"):
        resumable(widened(of_arms(tmp_path, c=4)))


def test_more_seeds_of_some_arms_alone_are_said_to_be_of_all(tmp_path: Path) -> None:
    begin(of_arms(tmp_path, a=3, b=4))
    of = of_arms(tmp_path, a=3, b=4)

    def asked(*strategies: str, seeds: int) -> str:
        one = replace(of, study=replace(of.study, strategies=strategies, seeds=seeds))
        return extra_runs_note(one.study, widened(one).study, of.study)

    assert asked("a", seeds=9).startswith(
        "The folder's other arms also get 9 seeds: b. To run some arms further"
    )
    assert asked("a", seeds=of.study.seeds) == asked("a", "b", seeds=9) == ""


def test_an_arm_that_failed_before_it_trained_anything_is_corrected_in_its_folder(
    tmp_path: Path,
) -> None:
    def listing(task: str) -> StudyRequest:
        terms = {"mtpsl": {"mapping": "light", "listed": [["semseg", task]]}}
        arms = {"a": {}, "b": {"changes": {"terms": terms}}}
        return study_request(tmp_path, arms=arms, strategies=["a", "b"], full=False, rounds=0)

    failed = run_study.run_study(listing("nope")).failed
    assert failed.keys() == {"start.b-seed0", "b-seed0"} and "nope" in failed["start.b-seed0"]
    trained = (tmp_path / "out" / "runs" / "start-seed0" / "done.json").stat().st_mtime_ns
    assert not run_study.run_study(listing("depth")).failed
    assert (tmp_path / "out" / "runs" / "start-seed0" / "done.json").stat().st_mtime_ns == trained


def test_an_arm_that_gets_a_run_while_the_images_are_read_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(of_arms(tmp_path, a=3, b=4), [])

    def meanwhile(*_: object, **__: object) -> str:
        train_some(tmp_path / "out" / "runs" / "b-seed0")
        return ""

    monkeypatch.setattr(run_study, "digest_images", meanwhile)
    with pytest.raises(ProjectError, match=r"with other settings: .*steps changed .*b-seed0"):
        run_study.run_study(of_arms(tmp_path, a=3, b=5))


def test_a_folder_in_which_a_study_is_running_is_refused_before_an_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_study, "digest_images", None)
    of = study_request(tmp_path)
    begin(of)
    with (of.out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ProjectError, match="Another process is working on these runs"):
            run_study.run_study(of)


def test_a_study_that_is_refused_for_its_images_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise ImageError("The image cannot be read.", where="a.jpg")

    monkeypatch.setattr(run_study, "digest_images", refuse)
    of = study_request(tmp_path)
    with pytest.raises(ImageError, match=r"(?s)a\.jpg.*Nothing was run\."):
        run_study.run_study(of)
    assert not of.out.exists()
    of.out.mkdir()
    with pytest.raises(ImageError):
        run_study.run_study(of)
    assert of.out.is_dir()  # it was there before


def test_the_weights_of_a_study_are_read_once_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "a.pth"
    weights.write_bytes(b"one")
    read: list[Path] = []
    monkeypatch.setattr(run_identity, "digest", lambda path: read.append(path) or "digest")
    monkeypatch.setattr(run_study, "Runner", None)  # no run is started
    with pytest.raises(TypeError):
        run_study.run_study(replace(study_request(tmp_path), weights=str(weights)))
    assert read == [weights]
    kept = earlier_values(tmp_path / "out")
    assert {one["images"] for one in kept["identities"].values()} == {kept["pictures"]}


def test_a_study_from_before_a_plug_in_had_an_option_is_resumed(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    recipe = Path(of.recipe)
    recipe.write_text(recipe.read_text().replace("[simulate]", "[terms.crop]\n[simulate]", 1))
    begin(of)
    kept = earlier_values(of.out)
    for identity in kept["identities"].values():
        del identity["options"]["terms"]["crop"]["track"]
    edited(of, **kept)
    assert resumable(of)
    for identity in kept["identities"].values():
        identity["options"]["terms"]["crop"]["weight"] = 2.0
    edited(of, **kept)
    fault = r"with other settings: options\.terms\.crop\.weight changed from 2\.0 to 1\.0"
    with pytest.raises(ProjectError, match=fault):
        resumable(of)


def test_a_value_may_move_from_the_recipe_to_the_arms_and_the_runs_still_read_it(
    tmp_path: Path,
) -> None:
    given = {"strategies": ["random_cells"], "full": False}
    whole = run_study.run_study(study_request(tmp_path, "whole", rounds=2, **given))
    run_study.run_study(study_request(tmp_path, rounds=1, **given))
    batch = {"train": {"batch": 4}}
    moved = study_request(tmp_path, changes={"start": batch, "strategy": batch}, rounds=2, **given)
    recipe = Path(moved.recipe)
    assert "batch = 4" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("batch = 4", "batch = 1"))
    resumed = run_study.run_study(moved)
    assert not resumed.failed and resumed.outcomes() == whole.outcomes()
