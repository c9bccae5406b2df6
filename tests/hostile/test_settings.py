"""Hostile settings, recipes and lists: every one is refused with a sentence, none with a traceback, none hangs."""

import json

import pytest

from labelgrid.basics.config import as_toml, check_pattern, read_toml
from labelgrid.basics.errors import LabelgridError
from labelgrid.images.places import group_of
from labelgrid.project.records import read_fit, read_picks
from labelgrid.project.settings import Settings, read_settings
from labelgrid.project.task_spec import task_row, task_rows
from labelgrid.recipes.resolve import check_recipe, load_recipe

DEEP, LONG = "[" * 100_000 + "]" * 100_000, "9" * 5000
VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e19",
    "-1",
    "1e9",
    LONG,
    DEEP,
    '"\\u0000"',
    "{}",
    "1979-05-27",
    "true",
)
KEYS = {
    "train": "epochs steps batch learning_rate weight_decay power warmup clip known val_share val_every workers device",
    "data": "size flip zoom jitter mean std fit",
    "backbone": "name pretrained fused",
    "objective": "initial weights reduction",
    "network.options": "width dropout encoder_dropout",
    "score.dropout": "passes rate where",
}
#: Values that are in order for their keys.
FINE = {
    ("workers", "-1"): False,
    ("pretrained", "true"): True,
    ("weights", "{}"): True,
    ("name", '"\\u0000"'): True,
}


def refused(read, *arguments):
    with pytest.raises(LabelgridError) as caught:
        read(*arguments)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("table", "key"), [(table, key) for table, keys in KEYS.items() for key in keys.split()]
)
def test_absurd_values_of_a_recipe_are_refused(tmp_path, table, key):
    for value in VALUES:
        (tmp_path / "a.toml").write_text(f'extends = "small"\n[{table}]\n{key} = {value}\n')
        accepted = FINE.get((key, value)) or (
            key in ("clip", "steps", "initial") and value == "1e9"
        )
        if accepted:
            continue
        refused(lambda: check_recipe(load_recipe(str(tmp_path / "a.toml"))))


@pytest.mark.parametrize(
    "key", ["recipe", "seed", "weights", "group", "strategy", "changes", "oracle", "nothing"]
)
def test_absurd_settings_are_refused(tmp_path, key):
    for value in ("nan", LONG, DEEP, "[1]", "1979-05-27"):
        (tmp_path / "a.toml").write_text(f"{key} = {value}\n")
        refused(read_settings, tmp_path / "a.toml")


@pytest.mark.parametrize(
    "content",
    [DEEP, f"[{LONG}", "{" * 99_999, "a = " + "{b=" * 50_000, "\0", b"\xff\xfe", "a=1\na=2", "﻿"],
)
def test_files_that_are_no_tables_are_refused(tmp_path, content):
    from labelgrid.lab.simulation.study_recipe import read_json

    (tmp_path / "a").write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_toml, read_settings, task_rows, read_json):
        refused(read, tmp_path / "a") if content != "﻿" else None
    refused(load_recipe, str(tmp_path / "a")) if content != "﻿" else None


def test_loops_folders_and_names_that_are_no_files_are_refused(tmp_path):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    for name in ("loop.toml", "", "a\0b.toml", "missing.toml", "\udcff.toml"):
        refused(read_toml, tmp_path / name)
        refused(load_recipe, f"{tmp_path}/{name}")


def test_recipes_that_extend_one_another_without_end_are_refused(tmp_path):
    for i in range(3000):
        (tmp_path / f"{i}.toml").write_text(f'extends = "{i + 1}.toml"\n')
    refused(load_recipe, str(tmp_path / "0.toml"))
    for base in ("a.toml", "./a.toml", "../x/a.toml", "a\\u0000b"):
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / "a.toml").write_text(f'extends = "{base}"\n')
        refused(load_recipe, str(tmp_path / "x" / "a.toml"))


@pytest.mark.parametrize(
    "pattern", ["(", "a{99999999999}", "(" * 5000 + ")" * 5000, "[", "(?P<a>", "\\"]
)
def test_groups_that_are_no_patterns_are_refused(pattern):
    refused(check_pattern, pattern)
    refused(group_of, pattern, "a.jpg")


@pytest.mark.parametrize(
    "words", ["cost=nan", "cost=1e400", f"cost={LONG}", f"scale={DEEP}", "scale=nan", "x\0.txt"]
)
def test_absurd_tasks_are_refused(words):
    refused(task_row, f"depth:{words}")


@pytest.mark.parametrize(
    "line",
    [
        "seeds = 1000000000",
        "rounds = 1e9",
        "budget = nan",
        "initial = inf",
        "group = 1",
        f"grid = {DEEP}",
    ],
)
def test_absurd_studies_are_refused(tmp_path, line):
    from labelgrid.lab.simulation.study_recipe import study_of

    (tmp_path / "a.toml").write_text(
        f'[simulate]\ndata = "folder"\ntasks = {{ depth = {{}} }}\n{line}\n'
    )
    refused(study_of, str(tmp_path / "a.toml"))


@pytest.mark.parametrize("text", [DEEP, LONG, "{}", "[1]", "\0", '{"round": 1e999}', "nul"])
def test_damaged_files_of_a_round_are_refused(tmp_path, text):
    for name, read in (("fit.json", read_fit), ("picks.json", read_picks)):
        (tmp_path / name).write_text(text)
        refused(read, tmp_path)


def test_a_name_with_any_character_is_written_so_that_it_is_read_back(tmp_path):
    for code in [*range(1, 0xA0), 0x2028, 0xFFFE]:
        assert Settings(recipe=f"a{chr(code)}b") == _again(tmp_path, f"a{chr(code)}b")
    assert json.loads(as_toml("a\x7f")) == "a\x7f"


def _again(folder, recipe):
    from labelgrid.project.settings import settings_text

    (folder / "s.toml").write_text(settings_text(Settings(recipe=recipe)), newline="")
    return read_settings(folder / "s.toml")


def test_many_class_names_are_checked_in_no_time():
    import time

    from labelgrid.formats.codecs.classes import Options

    start = time.perf_counter()
    with pytest.raises(ValueError, match="at most 4,096"):
        Options(classes=tuple(map(str, range(100_000))))
    assert time.perf_counter() - start < 2
    with pytest.raises(ValueError, match="given twice: a"):
        Options(classes=("a", "b", "a"))
