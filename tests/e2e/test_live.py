"""A live campaign from a folder of images to the report, as examples/live_campaign.py runs it."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics.version import __version__
from labelgrid.data.loader import train_batches
from tests.e2e.commands import cells, done, fixed, held_out, log, manifest, status
from tests.support import Made
from tests.unit.report.reading import Page

EXAMPLE = Path(__file__).parents[2] / "examples" / "live_campaign.py"
ROUNDS, BUDGET, HELD = 3, 6, 2


@pytest.fixture(scope="module")
def flat(data: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the example after three rounds."""
    folder = tmp_path_factory.mktemp("live") / "flat"
    words = {
        "data": "folder",
        "root": data.root,
        "classes": data.root / "classes.txt",
        "recipe": data.root / "tiny.toml",
    }
    words |= {
        "out": folder,
        "frames": 10,
        "holdout": HELD,
        "rounds": ROUNDS,
        "budget": BUDGET,
        "strategy": "partal",
    }
    example = runpy.run_path(str(EXAMPLE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "labelgrid.train.batch_stream.train_batches", note_names(folder.parent / "seen")
        )
        typed = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        patch.setattr(sys, "argv", [str(EXAMPLE), *typed])
        patch.setitem(example["main"].__globals__, "run", done)  # in this process, which is faster
        example["main"]()
    return folder


def note_names(path: Path) -> Callable[..., object]:
    """`train_batches`, recording its image ids."""

    def noted(
        source: object, tasks: object, names: list[str], *rest: object, **options: object
    ) -> object:
        with path.open("a") as file:
            file.write("".join(f"{name}\n" for name in names))
        return train_batches(source, tasks, names, *rest, **options)  # type: ignore[arg-type]

    return noted


def round_folder(project: Path, number: int) -> Path:
    return project / "rounds" / f"{number:04d}"


def read(project: Path, number: int, name: str) -> dict:
    return json.loads((round_folder(project, number) / name).read_text())


def test_every_round_asks_for_its_budget_and_gets_its_answers(flat: Path) -> None:
    values = status(flat)
    assert [(r["round"], r["budget"], r["unit"], r["state"]) for r in values["rounds"]] == [
        *((number, BUDGET, "labels", "closed") for number in range(1, ROUNDS + 1)),
        (ROUNDS + 1, 0, "labels", "open"),
    ]
    # The first round has no model, so images are drawn at random; later rounds use uncertainty.
    assert [r["strategy"] for r in values["rounds"]] == ["random_images", "partal", "partal", ""]
    assert not cells(flat, "requested", "skipped")
    assert len(cells(flat, "labelled")) == ROUNDS * BUDGET + HELD * 3
    picks = [
        {(p["image"], p["task"]) for p in read(flat, n, "picks.json")} for n in range(1, ROUNDS + 1)
    ]
    assert [len(p) for p in picks] == [BUDGET] * ROUNDS and len(
        set.union(*picks)
    ) == ROUNDS * BUDGET
    asked = {(row["image"], row["task"]) for row in manifest(round_folder(flat, 0) / "request")}
    assert cells(flat, "labelled") == asked | set.union(*picks)


def test_held_out_images_are_measured_and_never_learnt_from(flat: Path) -> None:
    held = held_out(flat)
    seen = set((flat.parent / "seen").read_text().split())
    learnt = {image for image, _ in cells(flat, "labelled")} - held
    assert len(held) == HELD and seen == learnt
    for number in range(1, ROUNDS + 1):
        assert not held & {pick["image"] for pick in read(flat, number, "picks.json")}
    for number in range(2, ROUNDS + 2):
        fit, measured = read(flat, number, "fit.json"), read(flat, number, "heldout.json")
        assert sum(fit["labels"].values()) == (number - 1) * BUDGET
        assert fit["images"] <= 10 - HELD and len(log(flat, number)) == 2
        assert measured["heldout_labels"] == {"semseg": HELD, "depth": HELD, "normals": HELD}
        assert measured["model"] == fit["model"]


def test_what_the_held_out_labels_cost_is_counted_apart(flat: Path) -> None:
    values, last = status(flat), read(flat, ROUNDS + 1, "heldout.json")
    costs = {"semseg": 10, "depth": 1, "normals": 1}
    assert {task: values["heldout"][task]["spent"] for task in costs} == {
        t: HELD * c for t, c in costs.items()
    }
    picked = [pick for number in range(1, ROUNDS + 1) for pick in read(flat, number, "picks.json")]
    assert last["spent"] == sum(costs[pick["task"]] for pick in picked)
    assert last["heldout_spent"] == HELD * sum(costs.values())
    for task, cost in costs.items():
        paid = sum(pick["task"] == task for pick in picked) * cost
        assert values["tasks"][task]["spent"] == paid + values["heldout"][task]["spent"]


def test_the_first_rounds_bounds_of_the_scores_are_kept(flat: Path) -> None:
    assert set(fixed(flat, "partal")) == {"semseg", "depth", "normals"}


def test_later_requests_carry_the_models_own_predictions_and_first_ones_cannot(flat: Path) -> None:
    assert not (round_folder(flat, 1) / "request" / "prelabels").exists()
    for number in range(2, ROUNDS + 1):
        request = round_folder(flat, number) / "request"
        for row in manifest(request):
            assert (request / row["path"].replace("labels/", "prelabels/", 1)).is_file()
            assert (request / "images" / row["image"]).is_file()


def test_the_report_holds_the_figures_that_were_measured(flat: Path) -> None:
    page = Page((flat / "report.html").read_text())
    for number in range(2, ROUNDS + 2):
        measured = read(flat, number, "heldout.json")
        for task, name in (("semseg", "mIoU"), ("depth", "RMSE"), ("normals", "mErr")):
            value = measured["metrics"][task][name]["value"]
            assert f"{value:.4g}" in page.words or f"{value:.3g}" in page.words, (task, name, value)
    assert "partal" in page.words and "random_images" in page.words
    assert page.named("img") and not page.named("script")


def test_the_example_shows_each_command_and_ends_at_one_that_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = runpy.run_path(str(EXAMPLE))["run"]
    monkeypatch.setattr(sys, "argv", [])
    run("--version")
    assert capsys.readouterr().out == f"\n$ labelgrid --version\n{__version__}\n"
    with pytest.raises(SystemExit, match="1"):
        run("status", tmp_path / "nothing")
