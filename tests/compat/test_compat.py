"""Folders that an earlier version wrote open and give the same answers, and projects continue as they would have."""

import json
import math
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import nn
from torchvision.models.resnet import Bottleneck

from tests.compat import make
from tests.e2e.commands import done, refused

ARCHIVE = Path(__file__).with_name("before_issue_c.zip")


def expected():
    with zipfile.ZipFile(ARCHIVE) as file:
        return json.loads(file.read("expected.json"))


BEFORE = expected()
#: What the version of before made of the archive on the machine of the archive, and on others.
MACHINES = [
    BEFORE,
    *(
        json.loads(path.read_text())
        for path in sorted(ARCHIVE.parent.glob(f"{ARCHIVE.stem}.*.json"))
    ),
]
#: Relative differences of other kernels: in what one network gives (2e-6 seen), and after training
#: (5e-3 seen).
OUTPUTS, TRAINED = 1e-5, 0.02


def run(*words):
    return done(*words).out


def holds(found, said, rounding=0.0):
    """Whether values have everything that was said before.

    They may say more, and floats may differ by `rounding`.
    """
    if isinstance(said, dict):
        return all(
            key in found and holds(found[key], value, rounding) for key, value in said.items()
        )
    if isinstance(said, list):
        return len(found) == len(said) and all(
            holds(*pair, rounding) for pair in zip(found, said, strict=True)
        )
    return found == said or (
        isinstance(said, float) and math.isclose(found, said, rel_tol=rounding)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The archive in a folder of this machine, which the settings and the study name.

    The images have moved there.
    """
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(ARCHIVE) as file:
        file.extractall(folder)
    for path in (*folder.rglob("labelgrid.toml"), *folder.rglob("study.json")):
        path.write_text(path.read_text().replace(f'"{BEFORE["folder"]}/', f'"{folder}/'))
    run("add", folder / "project", "--images", folder / "data/images")
    return folder


@pytest.fixture(scope="module")
def predicted(folder):
    """Predictions of the earlier model, computed again."""
    run("predict", folder / "project", folder / "data/images", "--out", folder / "anew")
    return folder / "anew"


def bottlenecks_before(inputs, width):
    """The heads of before: a 1×1 shortcut although the channels stay, which PAD-Net and new networks lack."""
    shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))
    return nn.Sequential(
        Bottleneck(inputs, width // 4, downsample=shortcut), Bottleneck(width, width // 4)
    )


@pytest.fixture(scope="module")
def heads_of_before():
    """New networks get the heads of before, so that all else can be compared to the last bit."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("labelgrid.nets.networks.pad_net.bottlenecks", bottlenecks_before)
        yield


@pytest.fixture(scope="module")
def stale(folder, predicted):
    """What a query says of the scores of before, whose stamp says nothing of options at their defaults."""
    return refused(folder / "project", "query", folder / "project", "--budget", 5)


@pytest.fixture(scope="module")
def later(folder, predicted, heads_of_before, stale):
    """The next steps of the project, scored again at the original size, the default of before."""
    with (folder / "small.toml").open("a") as recipe:
        recipe.write('at = "original"\n')
    run("score", folder / "project")
    return make.later(run, folder / "project", folder / "data")


@pytest.fixture(scope="module")
def same_bits(later):
    """The figures of a machine that rounds as this one, or None: with them, everything has to give the same bits.

    The machine of the archive has no digest of its kernels: it is known by the losses of the
    archived network.
    """
    machine = make.machine()
    known = next((figures for figures in MACHINES if figures["machine"] == machine), None)
    is_archives = later["evaluate"]["losses"] == BEFORE["later"]["evaluate"]["losses"]
    return known or (BEFORE if is_archives else None)


def test_a_project_of_before_says_what_it_said(folder, later):
    said = json.loads(json.dumps(BEFORE["later"]).replace(BEFORE["folder"], str(folder)))
    for what in ("status", "report"):
        said[what].pop("next", None)  # the budget of the next query is a number now
        assert holds(later[what], said[what], OUTPUTS)


def test_scores_of_before_are_stale_because_a_default_has_changed(stale):
    assert "The scores are stale: the recipe changed since they were computed" in stale


def test_scores_made_anew_give_the_picks_they_gave(later):
    said = BEFORE["later"]["query"] | {"repeated": False}
    assert later["query"].keys() == said.keys() and holds(later["query"], said, OUTPUTS)


def test_a_model_of_before_predicts_and_measures_the_same(folder, predicted, later, same_bits):
    names = sorted(
        path.relative_to(folder / "predictions") for path in folder.glob("predictions/*/*.png")
    )
    assert len(names) == 3 * (make.TRAIN + make.TEST)
    for name in names:
        found, said = (
            cv2.imread(str(place / name), cv2.IMREAD_UNCHANGED)
            for place in (predicted, folder / "predictions")
        )
        assert np.mean(found != said) <= (0 if same_bits is BEFORE else 0.005)
    said, rounding = (same_bits, 0.0) if same_bits else (BEFORE, OUTPUTS)
    assert holds(later["evaluate"], said["later"]["evaluate"], rounding)


def test_the_next_round_trains_the_same_network(later, same_bits):
    for key in ("round", "trained", "images", "labels", "spent", "seed"):
        assert later["fit"][key] == BEFORE["later"]["fit"][key]
    assert not same_bits or later["fit"]["model"] == same_bits["later"]["fit"]["model"]


def test_a_study_of_before_is_reported_and_gets_no_runs_of_other_networks(folder):
    reported = json.loads(run("report", folder / "study", "--out", folder / "study.html", "--json"))
    (point,) = reported["points"]
    assert point["strategies"] == ["random_cells", "random_images"] and not reported["unfinished"]
    words = ("--data", folder / "data", "--out", folder / "study", "--rounds", 2)
    fault = refused(folder / "study", "simulate", folder / "study.toml", *words)
    assert "runs of an earlier version, without backbone.upsample, objective.losses" in fault
    assert "`labelgrid report` still reads this one. Nothing was run." in fault


def test_a_live_campaign_gives_the_same(tmp_path, heads_of_before, same_bits):
    make.make_data(tmp_path)
    found = make.campaign(run, tmp_path)
    if same_bits:
        assert holds(found, same_bits["live"])
    for now, before in zip(found, BEFORE["live"], strict=True):
        assert now["labels"] == before["labels"]
        assert holds(now["heldout"]["losses"], before["heldout"]["losses"], TRAINED)
