"""Recipes: shipped and one's own, extended, changed, and refused with the key and the nearest right one."""

import pytest

from labelgrid import plugins
from labelgrid.errors import PluginError, RecipeError
from labelgrid.recipes.files import hash_of, load_recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice

COVERS = ["labelgrid.recipes.files", "labelgrid.recipes.resolve"]


@pytest.mark.parametrize("name", sorted(plugins.recipes()))
def test_every_shipped_recipe_loads(name):
    assert load_recipe(name).network.name in plugins.names("nets")


def test_partals_recipe_is_its_appendix(tmp_path):
    train = load_recipe("partal-nyud").train
    assert (train.epochs, train.learning_rate, train.weight_decay, train.power, train.optimiser) == (
        100, 1e-4, 1e-4, 0.9, "adam",
    )  # fmt: skip


def test_a_recipe_says_only_what_differs(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "small"\n[train]\nepochs = 3\n')
    mine, small = load_recipe(str(tmp_path / "mine.toml")), load_recipe("small")
    assert mine.train.epochs == 3 and mine.train.learning_rate == small.train.learning_rate
    assert load_recipe(str(tmp_path / "mine.toml"), {"train": {"epochs": 9}}).train.epochs == 9
    assert small.train.steps == 1000 and mine.train.steps == 0  # the length in epochs is the later word
    assert load_recipe("small", {"train": {"epochs": 9, "steps": 5}}).train.steps == 5
    assert mine.json() != small.json() and hash_of(mine.json()) != hash_of(small.json())


def test_a_misspelt_key_is_named_with_the_nearest_right_one(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "small"\n[train]\nlearning_rat = 0.1\n')
    with pytest.raises(RecipeError, match=r"train\.learning_rat: unknown key \(did you mean 'learning_rate'\?\)"):
        load_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('extends = "nowhere"\n', "There is no recipe 'nowhere'"),
        ("[train]\nepochs = 'many'\n", r"train\.epochs: input should be a valid integer"),
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
    assert build_plugin("select", PluginChoice("partal", {"normalise": "none"})).needs == frozenset({"dropout"})
    with pytest.raises(RecipeError, match=r"options of select 'partal'|normalize: unknown key"):
        build_plugin("select", PluginChoice("partal", {"normalize": "none"}))
    with pytest.raises(PluginError, match=r"no select plug-in 'partl'(.|\n)*Did you mean 'partal'"):
        build_plugin("select", PluginChoice("partl"))
