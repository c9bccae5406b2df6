"""Options of terms that have no effect beside another option are refused, with what they are and are to be."""

import pytest

from labelgrid.basics.config import parse
from labelgrid.basics.errors import RecipeError
from labelgrid.train.terms import contrastive, discriminator, jtr, mean_teacher, mtpsl

JOINT = (contrastive, discriminator, mtpsl)
WITHOUT_EFFECT = [
    *((term, {"zooms": [1.5]}, 'view = "batch"') for term in JOINT),
    (mtpsl, {"one_pass": True}, 'view = "batch"'),
    *((term, {"flip": 0.5}, 'view = "batch"') for term in JOINT),
    *(
        (term, {"condition": "none", "condition_rate": 1e-3}, 'condition = "none"')
        for term in JOINT
    ),
    (mtpsl, {"condition": "none", "condition_halve": 0.15}, 'condition = "none"'),
    (jtr, {"view": "batch", "zooms": [1.5]}, 'view = "batch"'),
    (jtr, {"view": "batch", "operations": 0}, 'view = "batch"'),
    (jtr, {"view": "batch", "levels": 31}, 'view = "batch"'),
    (jtr, {"view": "batch", "flip": 0.5}, 'view = "batch"'),
    (jtr, {"view": "batch", "recolour": "all"}, 'view = "batch"'),
    (jtr, {"view": "batch", "one_pass": True}, 'view = "batch"'),
    (jtr, {"one_pass": True, "track": False}, "one_pass = true"),
    (jtr, {"operations": 0, "levels": 31}, "operations = 0"),
    (jtr, {"operations": 0, "recolour": "all"}, "operations = 0"),
    (jtr, {"mean": 2.3618}, "deviation = 0"),
    (jtr, {"scale": "maximum", "deviation": 1.5, "mean": 2.0}, 'scale = "maximum"'),
    (mean_teacher, {"operations": 0, "levels": 6}, "operations = 0"),
]


@pytest.mark.parametrize(("term", "given", "beside"), WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(term, given, beside):
    with pytest.raises(
        RecipeError, match=rf"\w+ has no effect with {beside}: leave it at .*; it is .*[\d)e]\."
    ):
        parse(term.Options, given, "recipe.toml")


@pytest.mark.parametrize(
    ("term", "given"),
    [
        (mtpsl, {"zooms": [1.0, 1.2, 1.5]}),
        (mtpsl, {"view": "crop", "zooms": [1.5], "condition": "pair", "condition_rate": 1e-3}),
        (jtr, {"zooms": [1.5], "levels": 31, "mean": 2.0, "deviation": 1.5}),
        (jtr, {"operations": 0}),
        (mean_teacher, {"levels": 6}),
    ],
)
def test_defaults_and_options_with_an_effect_are_not(term, given):
    built = parse(term.Options, given, "recipe.toml")
    assert [tuple(value) if isinstance(value, list) else value for value in given.values()] == [
        getattr(built, name) for name in given
    ]


def test_values_are_written_as_a_recipe_has_them():
    with pytest.raises(RecipeError, match=r"leave it at false; it is true"):
        parse(mtpsl.Options, {"one_pass": True}, "recipe.toml")
    with pytest.raises(RecipeError, match=r"leave it at \[1\.0, 1\.2, 1\.5\]; it is \[1\.5\]"):
        parse(mtpsl.Options, {"zooms": [1.5]}, "recipe.toml")
