"""Recipes: shipped and one's own, extended, changed, and refused with the key and the nearest right one."""

from dataclasses import replace
from itertools import product

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.data.data_options import SupplierChoice
from labelgrid.data.layouts import pascal
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.lab.simulation.validate import check_arms
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import (
    build_plugin,
    check_recipe,
    has_own_encoder,
    hash_of,
    load_recipe,
    network_words,
    override,
    shipped_recipes,
)
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import spec_of
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from tests.studies import recipe_named, shipped_studies, shipped_study

COVERS = ["labelgrid.recipes.resolve"]


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads(name):
    assert load_recipe(name).network.name in plugins.names("networks")


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_another_backbone_is_trained_as_the_recipe_says(name: str) -> None:
    own = load_recipe(name).backbone
    other = load_recipe(name, {"backbone": {"name": "resnet18"}}).backbone
    assert other == BackboneOptions(name="resnet18", train=own.train, rate=own.rate, kept=own.kept)


def test_a_full_encoder_at_one_rate_is_as_before_there_were_options_for_it() -> None:
    before = {"name", "pretrained", "fused", "upsample", "output_stride", "pyramid"}

    def named(**options: object) -> set[str]:
        recipe = Recipe(backbone=BackboneOptions(**options))  # type: ignore[arg-type]
        return set(recipe.effective()["backbone"]) - before

    assert named() == set()
    assert named(rate=0.025) == {"rate"}
    assert named(train="frozen", rate=0.025) == {"train"}


def test_a_loss_at_all_pixels_is_as_before_there_was_an_option_for_it() -> None:
    assert "pixels" not in Recipe().effective()["objective"]
    drawing = Recipe(objective=ObjectiveOptions(pixels=1000))
    assert drawing.effective()["objective"]["pixels"] == 1000


@pytest.mark.parametrize("changes", [{"train": "frozen"}, {"rate": 0.1}])
def test_a_network_with_an_encoder_of_its_own_has_none_to_freeze(
    changes: dict[str, object],
) -> None:
    backbone = BackboneOptions(**changes)  # type: ignore[arg-type]
    check_recipe(Recipe(backbone=backbone))
    with pytest.raises(
        RecipeError, match=f"'segnet' has an encoder of its own.*{next(iter(changes))}"
    ):
        check_recipe(Recipe(backbone=backbone, network=PluginChoice("segnet")))


def test_a_frozen_encoder_is_not_compiled() -> None:
    compiled = Recipe(train=TrainOptions(compile=True))
    check_recipe(compiled)
    with pytest.raises(RecipeError, match=r"(?s)this one is frozen.*train.compile = false"):
        check_recipe(replace(compiled, backbone=BackboneOptions(train="frozen")))


def test_a_network_says_in_its_options_whether_its_encoder_is_its_own():
    own = {name for name in plugins.names("networks") if has_own_encoder(name)}
    assert own == {"mtan", "segnet"} and not has_own_encoder("tests.plugins.three_scale:build")
    with pytest.raises(PluginError, match="There is no network 'segnat'"):
        has_own_encoder("segnat")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("pad_net", "pad_net on resnet18"),
        ("mtan", "mtan"),
        ("nowhere:build", "nowhere:build on resnet18"),
        ("gone", "gone on resnet18"),
    ],
)
def test_a_report_names_the_backbone_of_networks_that_use_it_and_imports_none_of_ones_own(
    network, words
):
    assert network_words({"network": {"name": network}, "backbone": {"name": "resnet18"}}) == words


def test_the_arms_of_every_shipped_study_have_strategies_and_overrides_that_exist():
    seen = set()
    for name, study in shipped_studies():
        check_arms(name, study)
        for arm in study.strategies:
            strategy = build_plugin("strategies", study.chosen(arm))
            seen |= {(arm, need) for need in strategy.needs}
    assert {
        ("partal", "dropout"),
        ("ensemble", "ensemble"),
        ("margin-one-pass", "confidence"),
    } <= seen


def test_partals_ablations_differ_in_what_their_names_say():
    study = shipped_study("partal-ablations")
    scores = {
        arm: study.overrides("strategy", {}, arm).get("score", {}) for arm in study.strategies
    }
    assert (
        set(study.strategies) == set(study.arms)
        and scores["partal"] == scores["not-normalised"] == {}
    )
    assert study.chosen("not-normalised").options == {"normalise": "none"}
    assert (
        scores["scored-without-labels"] == scores["without-labels"] == {"dropout": {"known": False}}
    )
    assert study.overrides("start", {}, "without-labels")["train"]["known"] == 0
    assert study.start_of("scored-without-labels") == study.start_of("partal") == ""
    assert study.start_of("without-labels") == "without-labels"


def test_tcds_ablations_differ_in_what_their_names_say():
    study = study_of(recipe_named("tcd-ablations"))
    chosen = {arm: study.chosen(arm) for arm in study.strategies}
    assert {pick.name for arm, pick in chosen.items() if arm != "random_images"} == {"tcd"}
    options = {arm: dict(pick.options) for arm, pick in chosen.items()}
    assert options["inconsistency"] == {"score": "inconsistency"} and options["diversity"] == {
        "score": "diversity"
    }
    assert options["mean-of-tasks"] == {"tasks": "mean"} and options["cosine"] == {
        "distance": "cosine"
    }

    scores = {
        arm: study.overrides("strategy", {}, arm).get("score", {}) for arm in study.strategies
    }
    for arm, combine in (("mean-of-committee", "mean"), ("min-of-committee", "min")):
        assert scores[arm] == {"committee": {"combine": combine}} and not options[arm]
    for arm, size in (("32-dimensions", 32), ("128-dimensions", 128)):
        assert scores[arm] == {"embedding": {"dimensions": size}} and not options[arm]


@pytest.mark.parametrize(
    "name",
    [
        "near-duplicates",
        "partal-ablations",
        "strategies-cells",
        "strategies-settings",
        "task-gains",
        "tcd-ablations",
    ],
)
def test_rounds_continue_from_a_first_network_that_was_trained_for_longer(name):
    study = study_of(recipe_named(name))
    for arm in study.strategies:
        start, later = (
            load_recipe(recipe_named(name), study.overrides(kind, {}, arm)).train
            for kind in ("start", "strategy")
        )
        assert start.steps >= 1000 > later.steps and not later.restart


def test_partals_recipe_is_its_appendix():
    recipe, study = load_recipe("partal-nyud"), shipped_study("partal-nyud")
    train = recipe.train
    assert (train.epochs, train.learning_rate, train.weight_decay, train.power, train.optimiser) == (
        100, 1e-4, 1e-4, 0.9, "adam",
    )  # fmt: skip
    assert recipe.network.name == "pad_net" and recipe.backbone.name.startswith("hrnet_w18")
    assert recipe.backbone.upsample == "bilinear" and recipe.backbone.pretrained
    assert study.initial == 100 and study.budget == 240
    weights = {row.name: spec_of(row.kind).weight for row in study.rows()}
    assert {**weights, **(recipe.objective.weights or {})} == {
        "semseg": 1,
        "depth": 1,
        "normals": 10,
    }


def test_partals_recipe_for_pascal_is_its_appendix_and_the_survey_s_augmentation():
    recipe, nyud, study = (
        load_recipe("partal-pascal"),
        load_recipe("partal-nyud"),
        shipped_study("partal-pascal"),
    )
    assert (recipe.train, recipe.network, recipe.backbone) == (
        nyud.train,
        nyud.network,
        nyud.backbone,
    )
    assert recipe.objective.weights == {
        "semseg": 1,
        "parts": 2,
        "saliency": 5,
        "edges": 50,
        "normals": 10,
    }
    assert (study.initial, study.budget, study.rounds, study.seeds) == (1000, 1500, 5, 3)
    assert (
        [row.name for row in study.rows()] == list(recipe.objective.weights) == list(pascal.TASKS)
    )
    assert [{**row.options, "metrics": None} for row in study.rows() if row.kind == "semseg"] == [
        {"classes": pascal.TASKS[name]["classes"], "metrics": None} for name in ("semseg", "parts")
    ]
    data = recipe.data
    assert (data.size, data.rotate, data.zoom, data.zoom_between) == (
        (512, 512),
        20.0,
        (0.75, 1.25),
        True,
    )


@pytest.mark.parametrize("name", ["partal-nyud", "partal-pascal"])
def test_partals_recipes_have_all_methods_of_its_tables(name):
    study = shipped_study(name)
    table = {"random_images", "rbal", "core_set", "learning_loss", "partal"}
    assert {study.chosen(arm).name for arm in study.strategies} == {
        *table,
        "random_cells",
    } and study.full
    assert study.overrides("strategy", {}, "learning_loss")["terms"] == {
        "learning_loss": {"predict": "image"}
    }


def test_partals_recipes_have_the_arms_of_its_ablations():
    nyud, pascal = shipped_study("partal-nyud"), shipped_study("partal-pascal")
    assert nyud.chosen("not-normalised").options == {"normalise": "none"}
    for study in (nyud, pascal):
        assert "pseudo-labels" in study.strategies
        terms = study.overrides("strategy", {}, "pseudo-labels")["terms"]
        assert terms == {"pseudo_labels": {"confidence": 0.9}}
        assert study.chosen("pseudo-labels") == study.chosen("partal")

    picks = shipped_study("partal-nyud-picks")
    table = {"random_images", "rbal", "core_set", "learning_loss", "partal"}
    assert set(picks.strategies) == table | {f"{arm}-300" for arm in table}
    for arm in table:
        for name, images in ((arm, 100), (f"{arm}-300", 300)):
            assert picks.initial_of(name).images == images
            assert picks.chosen(name).name == arm
    assert (picks.budget, picks.rounds) == (300, 1)
    predicted = {"learning_loss": {"predict": "image"}}
    assert picks.overrides("strategy", {}, "learning_loss-300")["terms"] == predicted

    for name in ("partal-nyud-known", "partal-pascal-known"):
        assert load_recipe(name) == load_recipe(name.removesuffix("-known"))
        assert shipped_study(name).initial_of("all-labels").images == 0


def test_tcds_ablations_have_each_way_at_each_size_and_differ_in_one_switch():
    study = shipped_study("tcd-nyud-ablations")
    scores = {
        arm: study.overrides("strategy", {}, arm).get("score", {}) for arm in study.strategies
    }
    options = {arm: study.chosen(arm).options for arm in study.strategies}
    assert {study.chosen(arm).name for arm in study.strategies} == {"tcd"}
    for arm, combine in (("min-of-committee", "min"), ("mean-of-committee", "mean")):
        assert scores.pop(arm) == {"committee": {"combine": combine}} and not options.pop(arm)
    for distance, size in product(("euclidean", "cosine"), (32, 64, 128, 256, 512, 1024)):
        own = {} if distance == "euclidean" else {"distance": distance}
        arm = f"{distance}-{size}"
        if arm == "euclidean-512":
            continue  # the method's own
        assert scores.pop(arm) == {"embedding": {"dimensions": size}} and options.pop(arm) == own
    assert options == {
        "tcd": {},
        "inconsistency": {"score": "inconsistency"},
        "diversity": {"score": "diversity"},
        "mean-of-tasks": {"tasks": "mean"},
    }
    assert not any(scores.values())


@pytest.mark.parametrize("name", ["tcd-nyud", "tcd-pascal", "tcd-pascal-mti", "tcd-nyud-ablations"])
def test_equal_sums_over_all_pixels_in_tcds_recipes(name):
    assert load_recipe(name).score["flips"] == {"at": "original"}


def test_mtpsls_recipes_have_what_the_paper_and_its_scripts_only_mention():
    study = shipped_study("mtpsl-tables-nyuv2")
    for labels in ("random", "one"):
        own = {
            arm: study.overrides("strategy", {}, f"{labels}-mtpsl-{arm}").get("terms", {})
            for arm in ("slow", "with-ssl", "no-regulariser")
        }
        rates = {"learning_rate": 1e-5, "condition_rate": 1e-4}
        assert own["slow"] == {"mtpsl": {**own["no-regulariser"]["mtpsl"], **rates}}
        assert own["with-ssl"] == {"crop": {}}
    options = shipped_study("mtpsl-options-nyuv2")
    changes = {arm: options.overrides("strategy", {}, arm) for arm in options.strategies}
    assert changes["rampup"]["terms"] == {"mtpsl": {"ramp": 0.5}}
    assert [changes[arm]["network"]["options"] for arm in ("wide", "deep")] == [
        {"stages": "wide"},
        {"stages": "deep"},
    ]


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("tcd-nyud", {"ss": "semseg", "de": "depth", "sn": "normals"}),
        (
            "tcd-pascal",
            {"ss": "semseg", "ed": "edges", "sn": "normals", "hps": "parts", "se": "saliency"},
        ),
        (
            "tcd-pascal-mti",
            {"ss": "semseg", "ed": "edges", "sn": "normals", "hps": "parts", "se": "saliency"},
        ),
    ],
)
def test_tcds_recipes_have_all_methods_of_its_tables(name, tasks):
    study = shipped_study(name)
    equal = {f"equal-{short}": task for short, task in tasks.items()}
    table = {"random_images", "core_set", "rbal", "learning_loss", "partal", "tcd"}
    assert set(study.strategies) == table | equal.keys()
    assert {arm: study.chosen(arm).options for arm in equal} == {
        arm: {"task": task} for arm, task in equal.items()
    }
    assert {arm: set(arms) for arm, arms in study.best_of.items()} == {"EquAL*": equal.keys()}
    assert study.overrides("strategy", {}, "learning_loss")["terms"] == {
        "learning_loss": {"predict": "tasks"}
    }
    assert study.start_of("learning_loss") == "learning_loss" and study.start_of("rbal") == ""


def test_mtpsls_recipe_for_pascal_has_equation_1_and_its_variant_differs_in_the_survey_s_weights():
    equal, survey, partal = (
        load_recipe(name) for name in ("mtpsl-pascal", "mtpsl-pascal-survey", "partal-pascal")
    )
    assert equal.objective.reduction == survey.objective.reduction == "image_mean"
    assert equal.objective.weights == dict.fromkeys(pascal.TASKS, 1.0)
    assert survey.objective.weights == partal.objective.weights
    assert replace(survey, objective=equal.objective) == equal
    study = shipped_study("mtpsl-pascal")
    terms = [
        study.overrides("strategy", {}, arm).get("terms", {}) for arm in ("mtpsl", "random-mtpsl")
    ]
    assert terms == [{"mtpsl": {"mapping": "resnet18"}}] * 2  # the weight is that of equation 4
    assert shipped_study("mtpsl-pascal-survey") == study


@pytest.mark.parametrize(
    ("name", "images", "tasks"), [("tcd-nyud", 795, 3), ("tcd-pascal", 4998, 5)]
)
def test_tcds_recipes_go_from_ten_to_sixty_per_cent(name, images, tasks):
    study = shipped_study(name)
    assert len(study.rows()) == tasks and study.initial == pytest.approx(images / 10, rel=0.01)
    assert study.budget == tasks * study.initial and study.rounds == 5
    assert load_recipe("tcd-pascal-mti").network.name == "mti_net"


def test_a_recipe_says_only_what_differs(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "small"\n[train]\nepochs = 3\n')
    mine, small = load_recipe(str(tmp_path / "mine.toml")), load_recipe("small")
    assert mine.train.epochs == 3 and mine.train.learning_rate == small.train.learning_rate
    assert load_recipe(str(tmp_path / "mine.toml"), {"train": {"epochs": 9}}).train.epochs == 9
    assert (
        small.train.steps == 1000 and mine.train.steps == 0
    )  # the length in epochs is the later word
    assert load_recipe("small", {"train": {"epochs": 9, "steps": 5}}).train.steps == 5
    visits = load_recipe("small", {"train": {"label_visits": 8}})
    assert visits.train.label_visits == 8 and visits.train.steps == 0
    assert override({"train": {"label_visits": 8}}, {"train": {"steps": 7}})["train"] == {
        "label_visits": 0,
        "steps": 7,
    }
    assert override({"train": {"label_visits": 8}}, {"train": {"steps": 0}})["train"] == {
        "label_visits": 8,
        "steps": 0,
    }
    assert mine.json() != small.json() and hash_of(mine.json()) != hash_of(small.json())


def test_a_misspelt_key_is_named_with_the_nearest_right_one(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "small"\n[train]\nlearning_rat = 0.1\n')
    with pytest.raises(
        RecipeError, match=r"train\.learning_rat: unknown key \(did you mean 'learning_rate'\?\)"
    ):
        load_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('extends = "nowhere"\n', "There is no recipe 'nowhere'"),
        ("[train]\nepochs = 'many'\n", r'train\.epochs: a whole number is expected; it is "many"'),
        ("[train\n", "The file is not TOML"),
        ("extends = 3\n", "extends must be the name or path of a recipe; it is 3"),
        ("simulate = 3\n", "simulate must be a table"),
        ('[data]\nfit = "stretch"\n', r"data\.fit: "),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, text, fault):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=fault):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(RecipeError, match="The recipe extends itself"):
        load_recipe("a.toml", beside=tmp_path)


def test_plug_ins_are_made_from_checked_options():
    assert build_plugin(
        "strategies", PluginChoice("partal", {"normalise": "none"})
    ).needs == frozenset({"dropout"})
    with pytest.raises(RecipeError, match=r"options of strategy 'partal'|normalize: unknown key"):
        build_plugin("strategies", PluginChoice("partal", {"normalize": "none"}))
    with pytest.raises(PluginError, match=r"no strategy 'partl'(.|\n)*Did you mean 'partal'"):
        build_plugin("strategies", PluginChoice("partl"))


def test_an_object_that_is_no_plug_in_is_refused_not_called_to_a_traceback(tmp_path, monkeypatch):
    text = "from dataclasses import dataclass\n\n\n@dataclass\nclass Options:\n    pass\n\n\nnumber = 3\n\n\n"
    (tmp_path / "mineplug_of_a_test.py").write_text(
        text + "def build(options):\n    return options.nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "mineplug_of_a_test")
    for name, kind in (
        ("Options", "TypeError"),
        ("number", "TypeError"),
        ("build", "AttributeError"),
    ):
        with pytest.raises(
            PluginError, match=f"'mineplug_of_a_test:{name}' cannot be built .*: {kind}: "
        ):
            build_plugin("strategies", PluginChoice(f"mineplug_of_a_test:{name}"))
        with pytest.raises(PluginError, match="cannot be built"):
            plugins.create("strategies", f"mineplug_of_a_test:{name}", 1, 2)


def test_suppliers_that_are_off_count_for_nothing_beside_one_that_is_on() -> None:
    on = SupplierChoice(trust=0.5, folder="a")
    alone = Recipe(suppliers={"on": on})
    both = Recipe(suppliers={"off": SupplierChoice(folder="b"), "on": replace(on, folder="c")})
    assert alone.effective() == both.effective()
    assert "suppliers" not in Recipe(suppliers={"off": SupplierChoice()}).effective()


def test_relations_that_are_off_count_for_nothing_beside_one_that_is_on() -> None:
    on = {"depth_normals": RelationChoice(trust=0.5)}
    off = {"semseg_edges": RelationChoice(options={"width": 3})}
    assert Recipe(relations=on).effective() == Recipe(relations=on | off).effective()
    assert "relations" not in Recipe(relations=off).effective()


def test_relations_that_are_off_count_where_terms_may_read_them() -> None:
    off = {"depth_normals": RelationChoice()}
    terms: dict[str, dict[str, object]] = {"relation": {"relations": ["depth_normals"]}}
    recipe = Recipe(relations=off, terms=terms)
    assert recipe.effective()["relations"].keys() == off.keys()
