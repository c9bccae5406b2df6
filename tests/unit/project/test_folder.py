"""Laws of a project's folder: its settings, its groups, what is inside it and what is not."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.config import parse, read_toml
from labelgrid.basics.errors import LedgerError, ProjectError, RecipeError
from labelgrid.basics.files import write_text
from labelgrid.images.places import group_of
from labelgrid.project.folder import ProjectFolder, check_new
from labelgrid.project.settings import (
    Oracle,
    Settings,
    check_pattern,
    resolve_recipe,
    settings_text,
    text_with_tables,
)
from labelgrid.recipes.recipe import PluginChoice
from tests.campaigns import Make
from tests.projects import make_project

COVERS = ["labelgrid.project.settings"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
VALUES = st.one_of(
    WORDS, st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False)
)


@given(
    st.builds(
        Settings,
        recipe=WORDS,
        seed=st.integers(0, 2**62),
        weights=WORDS,
        group=WORDS,
        strategy=st.builds(PluginChoice, WORDS, st.dictionaries(WORDS, VALUES, max_size=3)),
        changes=st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=2), max_size=2),
        explain=st.sampled_from([None, True, False]),
    )
)
def test_settings_that_are_written_are_read_again(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    path = tmp_path_factory.mktemp("settings") / "labelgrid.toml"
    path.write_text(settings_text(settings), encoding="utf-8")
    assert parse(Settings, read_toml(path), "it") == settings


def test_overrides_are_tables_beside_which_others_can_be_written() -> None:
    changes = {
        "without_tasks": ["depth"],
        "network": {"options": {"width": 8}},
        "terms": {"my.own:loss": {}, "rbf": False},
    }
    text = settings_text(Settings(changes=changes))
    assert "\n[changes.network.options]\nwidth = 8\n" in text
    assert tomllib.loads(f"{text}\n[changes.train]\nsteps = 7\n")["changes"] == {
        **changes,
        "train": {"steps": 7},
    }


def test_a_live_campaign_explains_and_a_simulated_one_does_if_it_is_told_to() -> None:
    oracle = Oracle("folder", "somewhere")
    assert Settings().explains and not Settings(explain=False).explains
    assert not Settings(oracle=oracle).explains and Settings(oracle=oracle, explain=True).explains


def test_settings_say_what_each_key_is_for() -> None:
    lines = settings_text(Settings()).splitlines()
    for key in ("recipe", "seed", "weights", "group"):
        (line,) = (line for line in lines if line.startswith(f"{key} = "))
        assert "#" in line or key == "seed"


@pytest.mark.parametrize(
    ("pattern", "image", "group"),
    [
        ("", "scene1/a.jpg", ""),
        (r"^[^/]+", "scene1/a.jpg", "scene1"),
        (r"^(scene)\d+/", "scene12/a.jpg", "scene"),
        (r"scene\d+", "holiday/scene7-3.jpg", "scene7"),
        (r"scene\d+", "kitchen.jpg", "kitchen.jpg"),
    ],
)
def test_a_group_is_what_the_pattern_finds_in_an_id(pattern: str, image: str, group: str) -> None:
    assert group_of(pattern, image) == group


def test_a_pattern_that_is_none_is_refused() -> None:
    check_pattern(r"^[^/]+")
    with pytest.raises(
        ProjectError, match=r"The pattern of groups, '\[', is not a regular expression: "
    ):
        check_pattern("[")


def test_a_pattern_that_is_none_in_the_settings_is_refused_with_their_file(
    project: ProjectFolder,
) -> None:
    path = project.folder / "labelgrid.toml"
    path.write_text("group = '['\n")
    with pytest.raises(ProjectError, match="The pattern of groups") as caught:
        ProjectFolder.open(project.folder)
    assert caught.value.where == str(path)


def test_a_path_that_leads_out_of_the_project_is_refused(project: ProjectFolder) -> None:
    assert project.inside("labels/depth/a.png") == project.folder.resolve() / "labels/depth/a.png"
    (project.folder / "away").symlink_to(project.folder.parent)
    for path in ("../secret", "/etc/passwd", "labels/../../secret", "away/secret"):
        with pytest.raises(ProjectError, match="leads out of the project"):
            project.inside(path)


def test_weights_are_a_file_of_the_project_or_anywhere(project: ProjectFolder) -> None:
    def of(weights: str) -> Path | None:
        return ProjectFolder(project.folder, Settings(weights=weights), project.store).weights()

    assert of("") is None
    assert of("w.pth") == project.folder / "w.pth"
    assert of("/elsewhere/w.pth") == Path("/elsewhere/w.pth")


def test_rounds_sort_by_name_as_by_number(project: ProjectFolder) -> None:
    names = [project.round_folder(number).name for number in (0, 9, 10, 999)]
    assert names == sorted(names) and len(set(names)) == 4


def test_opening_what_is_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="labelgrid init"):
        ProjectFolder.open(tmp_path)
    (tmp_path / "labelgrid.toml").write_text("seed = 1\n")
    with pytest.raises(LedgerError, match="There is no ledger"):
        ProjectFolder.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labelgrid.toml"]


def test_only_an_empty_or_absent_folder_is_new(project: ProjectFolder, tmp_path: Path) -> None:
    check_new(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    check_new(tmp_path / "empty")
    with pytest.raises(ProjectError, match="There is already a labelgrid project"):
        check_new(project.folder)
    for place in (project.folder / "labelgrid.db", tmp_path):
        with pytest.raises(ProjectError, match="This is a file, or a folder that is not empty"):
            check_new(place)


def test_a_recipe_is_a_shipped_name_or_a_file_that_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("")
    assert resolve_recipe("small") == "small"
    assert (
        resolve_recipe("mine.toml") == resolve_recipe("./mine.toml") == str(tmp_path / "mine.toml")
    )
    (tmp_path / "folder").mkdir()
    for word in ("smal", "yours.toml", "folder"):
        with pytest.raises(RecipeError, match=f"There is no recipe '{word}'"):
            resolve_recipe(word)


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    write_text(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "after \ud800")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ProjectError, match=r"The disk reports an error: (Not a directory|File exists)"
    ):
        write_text(tmp_path / "file" / "note.txt", "x")
    assert path.read_text() == "before" and [p.name for p in path.parent.iterdir()] == ["note.txt"]


def test_two_processes_do_not_fit_score_or_query_one_project_at_once(tmp_path):
    project, _ = make_project(tmp_path, n=4)
    with project, ProjectFolder.open(project.folder) as other:
        with (
            project.lock(),
            pytest.raises(ProjectError, match="Another fit, score or query is running"),
            other.lock(),
        ):
            pass
        with other.lock():
            pass


@pytest.mark.parametrize("name", ["rounds", "rounds/0003", "rounds/0003/fit", "rounds/0003/scores"])
def test_a_folder_of_a_round_that_leads_out_of_the_project_is_refused(
    make: Make, tmp_path: Path, name: str
) -> None:
    with make() as project:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        link = project.folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(elsewhere)
        with pytest.raises(
            ProjectError, match=r"leads out of the project(.|\n)*Nothing was written"
        ):
            project.round_folder(3)
        link.unlink()
        assert project.round_folder(3) == project.folder / "rounds" / "0003"
        (project.folder / "kept").mkdir()
        link.symlink_to(project.folder / "kept")
        assert project.round_folder(3) == project.folder / "rounds" / "0003"


def with_tables(text: str) -> str:
    tables = {"depth_normals": {"trust": 0.9, "options": {"radius": 3}}}
    return text_with_tables(text, "relations", tables)


def test_a_table_is_added_to_settings_whose_other_lines_stay() -> None:
    text = f"# mine\n{settings_text(Settings())}"
    changed = with_tables(text)
    assert changed.startswith(text.rstrip("\n")) and with_tables(changed) == changed
    changes = tomllib.loads(changed)["changes"]
    assert changes == {"relations": {"depth_normals": {"trust": 0.9, "options": {"radius": 3}}}}


def test_a_table_replaces_the_earlier_one_of_its_name_alone() -> None:
    text = (
        "[changes.relations.depth_normals]\ntrust = 0.2 # old\nexact = true\n\n"
        "[changes.relations.other]\ntrust = 1\n# [changes.relations.depth_normals]\nexact = true\n"
    )
    changed = with_tables(text)
    relations = tomllib.loads(changed)["changes"]["relations"]
    assert relations["other"] == {"trust": 1, "exact": True}
    assert relations["depth_normals"] == {"trust": 0.9, "options": {"radius": 3}}
    assert "trust = 0.9 # old\n" in changed and "# [changes" in changed


@pytest.mark.parametrize(
    "text",
    [
        'recipe = "small"\nchanges = { train = { steps = 7 } }\n',
        'recipe = "small"\n[changes.train]\nsteps = 7\n[changes]\nrelations = { depth_normals = {} }\n',
    ],
)
def test_settings_that_hold_changes_in_another_way_are_changed_there(text: str) -> None:
    settings = tomllib.loads(with_tables(text))
    assert settings["recipe"] == "small" and settings["changes"]["train"] == {"steps": 7}
    assert settings["changes"]["relations"]["depth_normals"]["trust"] == 0.9
