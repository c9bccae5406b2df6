"""Laws of what is asked of a study: refused before anything is run, and never fewer runs than there are."""

import json
from dataclasses import make_dataclass, replace
from pathlib import Path

import pytest

from labelgrid.errors import LabelgridError, ProjectError, RecipeError
from labelgrid.files import write_text
from labelgrid.nets import pad_net
from labelgrid.progress import Silent
from labelgrid.recipes.schema import PluginChoice
from labelgrid.select import random_cells
from labelgrid.simulation import run_study
from labelgrid.simulation.campaign import settings_of
from labelgrid.simulation.jobs import jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.runs import DONE
from labelgrid.simulation.study import study_of
from labelgrid.simulation.validate import digest_images, validate_study, widened
from labelgrid.train.options import ADDED, ADDED_OBJECTIVE
from tests.studies import study_request


def keep(of: StudyRequest) -> None:
    """Leave the folder as a study of it that was begun."""
    of.out.mkdir()
    write_text(of.out / "study.json", json.dumps(of.to_json()))


def test_scores_of_other_defaults_or_of_versions_that_do_not_say_get_no_more_runs(tmp_path: Path) -> None:
    begun = study_request(tmp_path)
    keep(begun)
    validate_study(begun)
    now = begun.to_json()
    for values, fault in (
        (
            {key: value for key, value in now.items() if key != "scoring"},
            "earlier version, .*, score.dropout.at,.*; newer",
        ),
        (now | {"scoring": {"dropout": now["scoring"]["dropout"] | {"at": "original"}}}, "settings: score.dropout"),
    ):
        write_text(begun.out / "study.json", json.dumps(values))
        with pytest.raises(ProjectError, match=fault):
            validate_study(begun)
    write_text(begun.out / "study.json", json.dumps(now | {"scoring": {}}))  # its strategies needed no scores
    validate_study(begun)


def test_options_that_a_strategy_sets_are_kept_beside_those_of_the_recipe(tmp_path: Path) -> None:
    strategies = ["partal", "bald", "clasp_pe"]  # the last one relies on a default
    scoring = study_request(tmp_path, strategies=strategies).to_json()["scoring"]
    assert sorted(scoring) == ["class_entropy", "dropout", "dropout of bald"]
    assert scoring["dropout of bald"] == scoring["dropout"] | {"measure": "information"}


def named(name: str, **options: object) -> dict[str, object]:
    return {"name": name, "options": options}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"test": "exam"}, "no split 'exam'.*It has: test, train"),
        ({"test": "train"}, "are the same split: train, train"),
        ({"val": "test"}, "are the same split"),
        ({"threads": 0}, "threads must be a number of at least 1"),
        ({"group": "("}, "not a regular expression"),
        ({"strategies": ["partall"]}, "Did you mean 'partal'"),
        (
            {"strategies": ["one"], "arms": {"one": {"strategy": named("random_tasks", shares={"depht": 1})}}},
            "'one' picks by the task 'depht', which does not exist.*semseg, depth",
        ),
        (
            {"strategies": ["one"], "arms": {"one": {"tasks": ["semseg"], "strategy": named("equal", task="depth")}}},
            "'one' picks by the task 'depth'",
        ),
        ({"val": "val", "until": {"sem/mIoU": 5.0}}, "until names 'sem/mIoU'"),
        ({"grid": {"train.steps": []}}, "grid.train.steps has no value"),
        ({"grid": {"train.stepz": [5]}}, "stepz"),
        (
            {"variants": {"raw": {"name": "partal", "options": {"normalize": "none"}}}, "strategies": ["raw"]},
            "normalise",
        ),
        ({"best_of": {"Best": ["partal", "randm_cells"]}}, "no select plug-in 'randm_cells'"),
        ({"best_of": {"Best": []}}, "best_of.Best must list arms"),
        ({"best_of": {"partal": ["random_cells"]}}, "best_of.partal must list arms, and have another name"),
        ({"strategies": ["random_images"], "budget": 1}, "does not pay for one image.*takes 2 labels"),
        ({"strategies": ["random_images"], "unit": "cost", "budget": 10.0}, "takes 11 cost"),
    ],
)
def test_what_cannot_be_run_is_refused_before_it_is(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    with pytest.raises(LabelgridError, match=f"(?s){fault}"):
        validate_study(study_request(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_earlier_runs_are_resumed(tmp_path: Path) -> None:
    first = study_request(tmp_path, strategies=["random_cells"], seeds=3, rounds=2)
    assert widened(first) == first
    keep(first)
    more = widened(study_request(tmp_path, strategies=["random_images"], seeds=1, rounds=1)).study
    assert (more.strategies, more.seeds, more.rounds) == (("random_cells", "random_images"), 3, 2)
    assert validate_study(widened(study_request(tmp_path)))


def test_other_runs_are_refused_in_a_folder_that_has_some(tmp_path: Path) -> None:
    weights = tmp_path / "a.pth"
    weights.write_bytes(b"one")
    of = replace(study_request(tmp_path), weights=str(weights))
    keep(of)
    assert validate_study(of)
    weights.write_bytes(b"two")
    for other, key in (
        (of, "weights"),
        (study_request(tmp_path), "weights"),
        (replace(of, study=study_of(of.recipe, {"budget": 4})), "simulate.budget"),
        (replace(of, study=study_of(of.recipe, {"threads": 2})), "simulate.threads"),
        (replace(of, study=study_of(of.recipe, {"grid": {"train.steps": [5]}})), "simulate.grid"),
    ):
        with pytest.raises(LabelgridError, match=f"with other settings: .*{key}"):
            validate_study(other)
    (of.out / "study.json").write_text("{")
    with pytest.raises(LabelgridError, match="is damaged"):
        validate_study(of)


def test_an_arm_may_change_until_it_has_a_run(tmp_path: Path) -> None:
    def with_steps(steps: int) -> StudyRequest:
        arms = {
            "a": {"strategy": "random_cells"},
            "b": {"strategy": "random_cells", "changes": {"train": {"steps": steps}}},
        }
        return study_request(tmp_path, arms=arms, strategies=["a", "b"])

    keep(with_steps(3))
    run = tmp_path / "out" / "runs"
    (run / "a-seed0").mkdir(parents=True)
    assert validate_study(with_steps(4))
    for name in ("b-seed0", "start.b-seed0"):
        (run / name).mkdir()
        with pytest.raises(ProjectError, match=r"with other settings: simulate\.arms\.b changed"):
            validate_study(with_steps(4))
        (run / name).rmdir()
    assert validate_study(with_steps(4))


def test_an_arm_does_not_take_over_the_runs_of_another_one(tmp_path: Path) -> None:
    def with_steps(a: int, b: int) -> StudyRequest:
        arms = {
            name: {"strategy": "random_cells", "changes": {"train": {"steps": steps}}}
            for name, steps in (("a", a), ("b", b))
        }
        return study_request(tmp_path, arms=arms, strategies=["a", "b"])

    keep(with_steps(3, 4))
    (tmp_path / "out" / "runs" / "start.b-seed0").mkdir(parents=True)
    assert validate_study(with_steps(5, 4))
    with pytest.raises(ProjectError, match=r"with other settings: simulate\.arms\.a changed"):
        validate_study(with_steps(4, 4))  # a's start would be that of b, and start.b-seed0 no run of the study


def test_a_strategy_with_a_run_does_not_become_an_arm_with_other_settings(tmp_path: Path) -> None:
    keep(study_request(tmp_path, strategies=["random_cells"]))
    (tmp_path / "out" / "runs" / "random_cells-seed0").mkdir(parents=True)
    arms = {"random_cells": {"strategy": "random_images", "changes": {"train": {"steps": 3}}}}
    with pytest.raises(ProjectError, match=r"with other settings: simulate\.arms\.random_cells changed"):
        validate_study(study_request(tmp_path, arms=arms, strategies=["random_cells"]))


def test_a_folder_from_before_an_option_was_added_has_its_default(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    keep(of)
    kept = json.loads((of.out / "study.json").read_text())
    for section, added in (("train", ADDED), ("objective", ADDED_OBJECTIVE)):
        assert added
        for name in added:
            del kept["recipe"][section][name]
    (of.out / "study.json").write_text(json.dumps(kept))
    assert validate_study(of)


def images_of(of: StudyRequest) -> str:
    return digest_images(of.study, of.root, of.previous() or {}, Silent())


def test_the_pictures_digest_follows_every_image_and_no_label(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    seen = images_of(of)
    labels = [path for path in (of.root / "labels").rglob("*") if path.is_file()]
    assert labels
    for label in labels:
        label.write_bytes(b"")
    assert images_of(of) == seen
    image = sorted(of.root.glob("images/*"))[-1]
    image.write_bytes(sorted(of.root.glob("images/*"))[0].read_bytes())
    assert images_of(of) != seen


def test_runs_are_not_gone_on_with_on_other_images(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    of.out.mkdir()
    write_text(of.out / "study.json", "{}")  # of a study begun before digests were kept
    write_text(of.out / "study.json", json.dumps({"pictures": images_of(of)}))
    assert images_of(of)
    splits = of.root / "splits" / "train.txt"
    splits.write_text("".join(splits.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ProjectError, match="images or splits have changed"):
        images_of(of)


def test_an_image_of_two_splits_is_refused(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    train, test = of.root / "splits" / "train.txt", of.root / "splits" / "test.txt"
    train.write_text(train.read_text() + test.read_text().splitlines(keepends=True)[1])
    with pytest.raises(LabelgridError, match="The splits train and test share 1 image, such as"):
        validate_study(of)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    of.out.mkdir()
    (of.out / ".lock").touch()  # of a call that was stopped early
    (of.out / ".0123456789abcdef.part").touch()  # of a call that was killed while it wrote study.json
    assert validate_study(of)
    (of.out / "recipe.toml").write_text("mine")
    with pytest.raises(ProjectError, match="holds other files than runs of a study"):
        validate_study(of)


@pytest.mark.parametrize("damaged", ["{}", "[]", '{"study": 3}', "no JSON"])
def test_a_damaged_study_is_a_clear_refusal(tmp_path: Path, damaged: str) -> None:
    of = study_request(tmp_path)
    of.out.mkdir()
    (of.out / "study.json").write_text(damaged)
    with pytest.raises(LabelgridError, match=r"study\.json"):
        widened(of)


def test_a_strategy_with_options_goes_by_a_name_of_its_own(tmp_path: Path) -> None:
    raw = {"raw": {"name": "partal", "options": {"normalise": "none"}}}
    of = study_request(tmp_path, variants=raw, strategies=["partal", "raw"])
    runs = {run.key: run for run in validate_study(of)}
    settings = settings_of(runs["raw-seed0"], of.recipe, "", of.study, of.root)
    assert settings.strategy == PluginChoice("partal", {"normalise": "none"})
    assert settings_of(runs["partal-seed0"], of.recipe, "", of.study, of.root).strategy == PluginChoice("partal")


def test_a_study_of_some_tasks_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    of = study_request(tmp_path, only=["depth"])
    keep(of)
    kept = json.loads((of.out / "study.json").read_text())
    del kept["study"]["tasks"]["semseg"]
    (of.out / "study.json").write_text(json.dumps(kept))
    assert validate_study(widened(of))
    with pytest.raises(ProjectError, match=r"simulate\.only, .* changed"):
        validate_study(widened(study_request(tmp_path)))


def test_variants_may_be_added_to_a_study_and_not_changed(tmp_path: Path) -> None:
    raw, each = ({"name": "partal", "options": {"normalise": how}} for how in ("none", "each"))
    keep(study_request(tmp_path, variants={"raw": raw}, strategies=["raw"]))
    assert validate_study(widened(study_request(tmp_path, variants={"raw": raw, "each": each}, strategies=["each"])))
    with pytest.raises(ProjectError, match=r"simulate\.variants changed"):
        validate_study(widened(study_request(tmp_path, variants={"raw": each}, strategies=["raw"])))


def test_a_study_may_ask_for_explanations_at_any_time(tmp_path: Path) -> None:
    plain, asking = study_request(tmp_path), study_request(tmp_path, explain=True)
    keep(plain)
    runs = validate_study(asking)
    explains = [settings_of(runs[-1], of.recipe, "", of.study, of.root).explains for of in (plain, asking)]
    assert explains == [False, True]


def test_runs_are_not_resumed_with_another_default_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = study_request(tmp_path)
    keep(of)
    earlier = make_dataclass("Options", [("encoder_dropout", float, 0.5)], bases=(pad_net.Options,), frozen=True)
    monkeypatch.setattr(pad_net, "Options", earlier)
    with pytest.raises(ProjectError, match="runs with other settings: nets changed"):
        validate_study(of)
    kept = of.previous() or {}
    del kept["training"]  # as an older program kept it
    write_text(of.out / "study.json", json.dumps(kept))
    assert validate_study(of)


def test_runs_are_not_resumed_with_other_code_unless_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LABELGRID_TRUST", "own_strategy_of_test")
    code = tmp_path / "own_strategy_of_test.py"
    code.write_text((Path(random_cells.__file__)).read_text())
    of = study_request(tmp_path, strategies=["own_strategy_of_test:build"])
    keep(of)
    assert validate_study(of)
    code.write_text(code.read_text() + "# changed\n")
    with pytest.raises(ProjectError, match=r"The code of own_strategy_of_test:build has changed.*\n.*--force"):
        validate_study(of)
    assert validate_study(replace(of, force=True))
    jobs = jobs_of(of, validate_study(replace(of, force=True)))
    assert "with other code of own_strategy_of_test:build" in run_study._history(of, jobs)["notes"][-1]
    for job in jobs.values():
        job.folder.mkdir(parents=True)
        (job.folder / DONE).write_text(job.run.done_text(job.study))
    before = (of.previous() or {})["code"]  # no run is left: all are of the code of before
    assert before != of.to_json()["code"] and run_study._history(of, jobs) == {"code": before}
    assert validate_study(of)
    code.write_text(code.read_text().removesuffix("# changed\n"))
    assert run_study._history(of, jobs) == {"code": of.to_json()["code"]}


def test_what_the_report_shows_in_hindsight_may_change_between_two_calls(tmp_path: Path) -> None:
    keep(study_request(tmp_path))
    validate_study(study_request(tmp_path, best_of={"Best": ["partal", "random_cells"]}))


def test_arms_of_best_of_that_are_not_run_may_pick_by_a_task_that_the_study_leaves_out(tmp_path: Path) -> None:
    variants = {"equal-depth": named("equal", task="depth"), "equal-semseg": named("equal", task="semseg")}
    best_of = {"EquAL*": list(variants)}
    assert validate_study(study_request(tmp_path, variants=variants, best_of=best_of, only=["semseg"]))


TERMS = {"terms": {"learning_loss": {"width": 16}}}


@pytest.mark.parametrize(
    ("changes", "arm"),
    [
        ({"strategies": ["partal", "learning_loss"]}, "learning_loss"),
        ({"arms": {"lloss": {"strategy": "learning_loss"}}, "strategies": ["lloss"]}, "lloss"),
        # the network of the start scores first
        ({"strategies": ["learning_loss"], "changes": {"strategy": TERMS}}, "learning_loss"),
    ],
)
def test_an_arm_that_trains_without_a_term_that_its_strategy_reads_is_refused(
    tmp_path: Path, changes: dict[str, object], arm: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        validate_study(study_request(tmp_path, **changes))
    assert str(caught.value) == (
        f"'{arm}' trains without the term 'learning_loss', which the statistic 'learning_loss' of its strategy reads.\n"
        "  Add it to an arm's `changes`, such as { terms = { learning_loss = {} } }. Nothing was run."
    )


def test_a_budget_of_costs_that_pays_for_no_label_of_an_arm_is_refused(tmp_path: Path) -> None:
    arms = {"dear": {"strategy": named("random_tasks", shares={"semseg": 1})}}  # 10 a label; depth costs 1
    with pytest.raises(RecipeError, match="The budget of 5 does not pay for one label that 'dear' buys"):
        validate_study(study_request(tmp_path, arms=arms, strategies=["random_cells", "dear"], unit="cost", budget=5))
    assert validate_study(study_request(tmp_path, strategies=["random_cells"], unit="cost", budget=5))


def test_an_arm_whose_strategy_cannot_use_an_option_of_a_statistic_is_refused(tmp_path: Path) -> None:
    arms = {"noisy": {"strategy": "clasp_pe", "changes": {"score": {"dropout": {"measure": "information"}}}}}
    with pytest.raises(RecipeError) as caught:
        validate_study(study_request(tmp_path, arms=arms, strategies=["clasp_pe", "noisy"]))
    assert str(caught.value).startswith(
        'The strategy of \'noisy\' needs measure = "entropy" in [score.dropout]; the recipe has "information".\n'
    )
    assert validate_study(study_request(tmp_path, strategies=["clasp_pe"]))


def test_cells_by_a_predicted_loss_of_the_whole_image_are_refused(tmp_path: Path) -> None:
    for unit, predict in (("images", "image"), ("images", "tasks"), ("cells", "tasks"), ("cells", "image")):
        arm = {
            "strategy": named("learning_loss", unit=unit),
            "changes": {"terms": {"learning_loss": {"predict": predict}}},
        }
        request = study_request(tmp_path, arms={"arm": arm}, strategies=["random_cells", "arm"])
        if (unit, predict) == ("cells", "image"):
            with pytest.raises(
                RecipeError, match=r'needs predict = "tasks" in \[terms.learning_loss\]; the recipe has "image"'
            ):
                validate_study(request)
        else:
            assert validate_study(request)


def test_an_arm_that_trains_with_the_term_is_accepted(tmp_path: Path) -> None:
    arms = {"lloss": {"strategy": "learning_loss", "changes": TERMS}}
    assert validate_study(study_request(tmp_path, arms=arms, strategies=["lloss", "partal"]))
    both = {"start": TERMS, "strategy": TERMS}
    assert validate_study(study_request(tmp_path, strategies=["learning_loss"], changes=both))
