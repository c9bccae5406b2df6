from dataclasses import dataclass, field

import pytest

from tools.documented import LABELS, faults, key_faults, keys, label_keys, read, recipe_keys
from tools.source import ROOT


@dataclass(frozen=True)
class Options:
    classes: tuple[str, ...]
    size: tuple[int, int] = (96, 128)
    fit: str = "resize"
    weights: dict[str, float] | None = None
    options: dict[str, int] = field(default_factory=dict)


def test_keys_and_defaults_come_from_the_code_as_toml_writes_them():
    written = {
        "classes": "required",
        "size": "[96, 128]",
        "fit": '"resize"',
        "weights": "none",
        "options": "a table",
    }
    assert keys(Options) == written
    assert keys(Options(("a", "b"), fit="pad")) == written | {
        "classes": '["a", "b"]',
        "fit": '"pad"',
    }


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('| `fit` | `"resize"` | How. |', ""),
        ("| `fit` | none | How. |", 'page, [data]: `fit` is "resize", not none'),
        ("The key `fit` is `resize`.", "page, [data]: no row for `fit`"),
        ('| `fit` | `"resize"` | How. |\n| `at` | `0` | Gone. |', "page, [data]: there is no `at`"),
        ('# `[train]`\n| `fit` | `"resize"` | How. |', "page, [data]: no row for `fit`"),
    ],
)
def test_a_key_has_a_row_with_its_default_in_its_own_table(row, fault):
    page = f"# `[data]`\n| key | default | meaning |\n| --- | --- | --- |\n{row}\n# after\n| `size` | `1` | |\n"
    assert key_faults(page, ("page", "[data]"), {"fit": '"resize"'}) == ([fault] if fault else [])


def test_the_keys_of_every_part_of_a_recipe_and_of_label_files_are_asked_for():
    assert recipe_keys()["docs/recipes.md", "[train]"]["learning_rate"] == "0.0001"
    assert recipe_keys()["docs/recipes.md", "labelgrid.toml"]["recipe"] == '"small-shared-heads"'
    assert recipe_keys()["docs/recipes.md", "[network]"]["name"] == '"pad_net"'
    page = read(ROOT, LABELS)
    assert {name for _, name in label_keys(page)} >= {"binary", "classes", "depth", "normals"}
    assert label_keys(page)["docs/labels.md", "depth"]["scale"] == "none"


def test_a_format_without_a_part_of_the_page_needs_no_row():
    assert [name for _, name in label_keys("# Label files\n## depth\n")] == ["depth"]


def test_without_pages_every_key_is_missing(tmp_path):
    assert "docs/recipes.md, [train]: no row for `epochs`" in faults(tmp_path)
