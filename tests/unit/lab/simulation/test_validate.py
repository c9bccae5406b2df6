"""Laws of what is asked of a study: refused before anything is run, and never fewer runs than there are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import (
    LabelgridError,
    ModelError,
    PluginError,
    ProjectError,
    RecipeError,
)
from labelgrid.basics.files import write_text
from labelgrid.basics.progress import Silent
from labelgrid.lab.simulation.run_jobs import settings_of
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.study_plan import plan_study
from labelgrid.lab.simulation.study_recipe import Study, earlier_values
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.validate import digest_images, missing_weights, validate_study
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.score.statistics import learning_loss
from labelgrid.select.strategies import random_cells
from tests.projects import write_own
from tests.studies import study_request

#: Options of a term that lists a pair with a task that a study may leave out.
PAIR = {"mapping": "light", "listed": [["semseg", "depth"]]}


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
            {
                "strategies": ["one"],
                "arms": {"one": {"strategy": named("random_tasks", shares={"depht": 1})}},
            },
            "'one' picks by the task 'depht', which does not exist.*semseg, depth",
        ),
        (
            {
                "strategies": ["one"],
                "arms": {"one": {"tasks": ["semseg"], "strategy": named("equal", task="depth")}},
            },
            "'one' picks by the task 'depth'",
        ),
        ({"control": 1.5}, "control must be from 0 to 1; it is 1.5"),
        ({"pairs": 2}, "pairs = 2, and no arm that buys labels declares a relation"),
        (
            {
                "tasks": {"depth": {}, "normals": {}},
                "pairs": 3,
                "strategies": ["x"],
                "arms": {"x": {"changes": {"relations": {"depth_normals": {}}}}},
            },
            "of 5 labels may not pay for 3 images with all labels of depth, normals, which 'x' draws",
        ),
        ({"val": "val", "until": {"sem/mIoU": 5.0}}, "until names 'sem/mIoU'"),
        ({"grid": {"train.steps": []}}, "grid.train.steps has no value"),
        (
            {"grid": {"train.batch": [8, 8], "train.steps": []}},
            "grid.train.batch has a value twice",
        ),
        ({"grid": {"train.stepz": [5]}}, "stepz"),
        (
            {
                "variants": {"raw": {"name": "partal", "options": {"normalize": "none"}}},
                "strategies": ["raw"],
            },
            "normalise",
        ),
        ({"best_of": {"Best": ["partal", "randm_cells"]}}, "no strategy 'randm_cells'"),
        ({"best_of": {"Best": []}}, "best_of.Best must list arms"),
        (
            {"best_of": {"partal": ["random_cells"]}},
            "best_of.partal must list arms, and have another name",
        ),
        (
            {
                "strategies": ["x"],
                "arms": {"x": {"changes": {"terms": {"mtpsl": {"wieght": 2.0}}}}},
            },
            "wieght",
        ),
        (
            {"strategies": ["x"], "arms": {"x": {"changes": {"balance": {"name": "mgdaa"}}}}},
            "Did you mean 'mgda'",
        ),
        (
            {
                "only": ["semseg"],
                "strategies": ["x"],
                "arms": {"x": {"changes": {"terms": {"mtpsl": PAIR}}}},
            },
            "the term 'mtpsl' names none of the tasks of 'x'",
        ),
        (
            {"strategies": ["random_images"], "budget": 1},
            "does not pay for one image.*takes 2 labels",
        ),
        ({"strategies": ["random_images"], "unit": "cost", "budget": 10.0}, "takes 11 cost"),
    ],
)
def test_what_cannot_be_run_is_refused_before_it_is(
    tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    with pytest.raises(LabelgridError, match=f"(?s){fault}.*Nothing was (run|requested)"):
        validate_study(study_request(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def images_of(of: StudyRequest) -> str:
    return digest_images(of.study, of.root, earlier_values(of.out) or {}, Silent())


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


def test_without_rounds_no_budget_is_too_small(tmp_path: Path) -> None:
    assert validate_study(study_request(tmp_path, strategies=["random_images"], budget=1, rounds=0))


def test_an_image_of_two_splits_is_refused(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    train, test = of.root / "splits" / "train.txt", of.root / "splits" / "test.txt"
    train.write_text(train.read_text() + test.read_text().splitlines(keepends=True)[1])
    with pytest.raises(LabelgridError, match="The splits train and test share 1 image, such as"):
        validate_study(of)


def test_a_relation_without_a_known_camera_is_refused_before_anything_is_run(
    tmp_path: Path,
) -> None:
    arm = {
        "strategy": "random_cells",
        "changes": {"relations": {"depth_normals": {"trust": 1.0}}},
    }
    of = study_request(
        tmp_path,
        arms={"derived": arm},
        strategies=["random_cells", "derived"],
        tasks={"depth": {}, "normals": {}},
    )
    with pytest.raises(
        RecipeError, match="'depth_normals' of 'derived' needs the cameras"
    ) as error:
        validate_study(of)
    assert f"{of.root}/camera.toml" in error.value.next_step
    (of.root / "camera.toml").write_text('["away/"]\nfield_of_view = 66.0\n')
    with pytest.raises(RecipeError, match="needs the cameras"):
        validate_study(of)
    (of.root / "camera.toml").write_text("field_of_view = 66.0\n")
    assert validate_study(of)


def test_the_splits_are_read_once_however_many_arms_list_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = {"strategy": "random_cells", "initial": {"plan": "cells", "file": "cells.csv"}}
    of = study_request(tmp_path, arms={"a": arm, "b": arm}, strategies=["a", "b"])
    (of.root / "cells.csv").write_text("image,task\n0000.jpg,depth\n")
    read: list[Path] = []
    splits = Study.splits
    monkeypatch.setattr(Study, "splits", lambda of, root: read.append(root) or splits(of, root))
    validate_study(of)
    assert len(read) == 1


def test_a_strategy_with_options_goes_by_a_name_of_its_own(tmp_path: Path) -> None:
    raw = {"raw": {"name": "partal", "options": {"normalise": "none"}}}
    of = study_request(tmp_path, variants=raw, strategies=["partal", "raw"])
    runs = {run.key: run for run in validate_study(of)}
    settings = settings_of(runs["raw-seed0"], of.recipe, weights="", study=of.study, root=of.root)
    assert settings.strategy == PluginChoice("partal", {"normalise": "none"})
    assert settings_of(
        runs["partal-seed0"], of.recipe, weights="", study=of.study, root=of.root
    ).strategy == PluginChoice("partal")


def test_arms_of_best_of_that_are_not_run_may_pick_by_a_task_that_the_study_leaves_out(
    tmp_path: Path,
) -> None:
    variants = {
        "equal-depth": named("equal", task="depth"),
        "equal-semseg": named("equal", task="semseg"),
    }
    best_of = {"EquAL*": list(variants)}
    assert validate_study(
        study_request(tmp_path, variants=variants, best_of=best_of, only=["semseg"])
    )


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
    arms = {
        "dear": {"strategy": named("random_tasks", shares={"semseg": 1})}
    }  # 10 a label; depth costs 1
    with pytest.raises(
        RecipeError, match="The budget of 5 does not pay for one label that 'dear' buys"
    ):
        validate_study(
            study_request(
                tmp_path, arms=arms, strategies=["random_cells", "dear"], unit="cost", budget=5
            )
        )
    assert validate_study(
        study_request(tmp_path, strategies=["random_cells"], unit="cost", budget=5)
    )


def test_an_arm_whose_strategy_cannot_use_an_option_of_a_statistic_is_refused(
    tmp_path: Path,
) -> None:
    arms = {
        "noisy": {
            "strategy": "clasp_pe",
            "changes": {"score": {"dropout": {"measure": "information"}}},
        }
    }
    with pytest.raises(RecipeError) as caught:
        validate_study(study_request(tmp_path, arms=arms, strategies=["clasp_pe", "noisy"]))
    assert str(caught.value).startswith(
        'The strategy of \'noisy\' needs measure = "entropy" in [score.dropout]; the recipe has "information".\n'
    )
    assert validate_study(study_request(tmp_path, strategies=["clasp_pe"]))


def test_cells_by_a_predicted_loss_of_the_whole_image_are_refused(tmp_path: Path) -> None:
    for unit, predict in (
        ("images", "image"),
        ("images", "tasks"),
        ("cells", "tasks"),
        ("cells", "image"),
    ):
        arm = {
            "strategy": named("learning_loss", unit=unit),
            "changes": {"terms": {"learning_loss": {"predict": predict}}},
        }
        request = study_request(tmp_path, arms={"arm": arm}, strategies=["random_cells", "arm"])
        if (unit, predict) == ("cells", "image"):
            with pytest.raises(
                RecipeError,
                match=r'needs predict = "tasks" in \[terms.learning_loss\]; the recipe has "image"',
            ):
                validate_study(request)
        else:
            assert validate_study(request)


def test_an_arm_that_trains_with_the_term_is_accepted(tmp_path: Path) -> None:
    arms = {"lloss": {"strategy": "learning_loss", "changes": TERMS}}
    assert validate_study(study_request(tmp_path, arms=arms, strategies=["lloss", "partal"]))
    both = {"start": TERMS, "strategy": TERMS}
    assert validate_study(study_request(tmp_path, strategies=["learning_loss"], changes=both))


def test_tasks_of_another_data_set_are_refused_before_anything_is_run(tmp_path: Path) -> None:
    request = study_request(tmp_path, tasks={"semseg": {"classes": ["a", "b"]}, "depth": {}})
    with pytest.raises(LabelgridError, match=r"(?s)classes.*Nothing was run"):
        validate_study(request)


def test_weights_that_cannot_be_had_are_in_the_plan_and_refused_once_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    study = study_request(tmp_path)
    runs = validate_study(study)
    assert missing_weights(study.recipe, study.study, runs) is None  # random weights
    pretrained = study_request(
        tmp_path,
        changes={kind: {"backbone": {"pretrained": True}} for kind in ("start", "strategy")},
    )
    plan = plan_study(pretrained)
    assert plan.runs and "ImageNet weights of" in str(plan.missing)
    with pytest.raises(
        ModelError, match=r"(?s)ImageNet weights of .* `--weights FILE`.*Nothing was run"
    ):
        run_study(pretrained)
    assert not pretrained.out.exists()
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"")
    assert plan_study(replace(pretrained, weights=str(weights))).missing is None


def strategy_that_needs(statistic: str) -> str:
    """The code of a strategy that asks for a statistic."""
    text = Path(random_cells.__file__).read_text()
    return text.replace("unit=", f"needs=frozenset({{{statistic!r}}}), unit=")


@pytest.mark.parametrize(
    ("strategy", "network", "fault"),
    [
        ("tcd", {"name": "shared_heads"}, "SharedHeads has one stage"),
        ("partal", {"options": {"dropout": 0.0}}, "has no dropout at 'final'"),
    ],
)
def test_an_arm_whose_network_its_strategy_cannot_read_is_refused_before_anything_is_run(
    tmp_path: Path, strategy: str, network: dict[str, object], fault: str
) -> None:
    arms = {"fits": {"strategy": "random_cells"}, "unfit": {"strategy": strategy}}
    arms["unfit"]["changes"] = {"network": network}
    request = study_request(tmp_path, strategies=["fits", "unfit"], arms=arms)
    with pytest.raises(ModelError, match=rf"(?s){fault}.*'unfit'.*Nothing was run"):
        run_study(request)
    assert not request.out.exists()


def test_an_own_statistic_that_is_none_is_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = strategy_that_needs("own_of_test_validate:build")
    write_own(tmp_path, monkeypatch, {"own_of_test_validate": text})
    of = study_request(tmp_path, strategies=["own_of_test_validate:build"])
    with pytest.raises(PluginError, match=r"'own_of_test_validate:build' .* statistic"):
        validate_study(of)


def test_terms_of_an_own_statistic_that_are_no_set_are_refused_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistic = Path(learning_loss.__file__).read_text().replace(" = frozenset({TERM})", " = TERM")
    strategy = strategy_that_needs("terms_of_test_validate:build")
    modules = {"terms_of_test_validate": statistic, "strategy_of_test_validate": strategy}
    write_own(tmp_path, monkeypatch, modules)
    of = study_request(tmp_path, strategies=["strategy_of_test_validate:build"])
    with pytest.raises(
        PluginError, match=r"(?s)not a frozenset .*'learning_loss'.*Nothing was run"
    ):
        validate_study(of)
