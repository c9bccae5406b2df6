"""Folders that an earlier version wrote open, say what they said, and are resumed to the same figures."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.compat import make
from tests.e2e.commands import done

ARCHIVE = Path(__file__).with_name("before_issue_c.zip")


def expected():
    with zipfile.ZipFile(ARCHIVE) as file:
        return json.loads(file.read("expected.json"))


BEFORE = expected()
#: Trained weights are the same to the last bit on one kind of machine alone.
exactly = pytest.mark.skipif(
    BEFORE["machine"] != make.machine() or os.environ.get("OMP_NUM_THREADS") != "1",
    reason=f"the figures of before are those of {BEFORE['machine']} with one thread",
)


def run(*words):
    return done(*words).out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The archive in a folder of this machine, which the settings and the study name; the images have moved there."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(ARCHIVE) as file:
        file.extractall(folder)
    for path in (*folder.rglob("labelgrid.toml"), *folder.rglob("study.json")):
        path.write_text(path.read_text().replace(f'"{BEFORE["folder"]}/', f'"{folder}/'))
    run("add", folder / "project", "--images", folder / "data/images")
    return folder


@pytest.fixture(scope="module")
def predicted(folder):
    """Predictions of the model of before, made anew."""
    run("predict", folder / "project", folder / "data/images", "--out", folder / "anew")
    return folder / "anew"


@pytest.fixture(scope="module")
def later(folder, predicted):
    return make.later(run, folder / "project", folder / "data")


def test_a_project_of_before_says_what_it_said(folder, later):
    said = json.loads(json.dumps(BEFORE["later"]).replace(BEFORE["folder"], str(folder)))
    for what in ("status", "report"):
        assert later[what].items() >= said[what].items()


def test_scores_of_before_are_fresh_and_give_the_picks_they_gave(later):
    assert later["query"] == BEFORE["later"]["query"]


@exactly
def test_a_model_of_before_predicts_and_measures_the_same(folder, predicted, later):
    names = sorted(path.relative_to(folder / "predictions") for path in folder.glob("predictions/*/*.png"))
    assert len(names) == 3 * (make.TRAIN + make.TEST)
    for name in names:
        assert (predicted / name).read_bytes() == (folder / "predictions" / name).read_bytes()
    assert later["evaluate"].items() >= BEFORE["later"]["evaluate"].items()


@exactly
def test_the_next_round_trains_the_same_network(later):
    keys = ("model", "round", "trained", "images", "labels", "spent", "seed")
    assert {key: later["fit"][key] for key in keys} == {key: BEFORE["later"]["fit"][key] for key in keys}


@pytest.fixture(scope="module")
def resumed(folder):
    reported = json.loads(run("report", folder / "study", "--out", folder / "study.html", "--json"))
    return reported, make.study(run, folder, rounds=2)


def test_a_study_of_before_is_reported_and_resumed(folder, resumed):
    reported, outcomes = resumed
    (point,) = reported["points"]
    assert point["strategies"] == ["random_cells", "random_images"] and not reported["unfinished"]
    with zipfile.ZipFile(ARCHIVE) as file:
        before = file.read("study/outcomes.csv").decode().splitlines()
    assert set(before) < set(outcomes.splitlines())
    assert len(outcomes.splitlines()) == len(BEFORE["outcomes"].splitlines())


@exactly
def test_a_resumed_study_measures_what_it_measured(resumed):
    assert resumed[1] == BEFORE["outcomes"]


@exactly
def test_a_live_campaign_gives_the_same_to_the_last_bit(tmp_path):
    make.make_data(tmp_path)
    assert make.campaign(run, tmp_path) == BEFORE["live"]
