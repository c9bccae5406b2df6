import json
import math
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.results import Result
from labelgrid.ledger.grid import Cell, Explanation, Pick
from labelgrid.project.records import (
    PENDING,
    EpochRecord,
    Fit,
    Measurement,
    MemberRecord,
    announce_previews,
    fit_val_metrics,
    measured_rounds,
    pending_previews,
    read_fit,
    read_log,
    read_measurement,
    read_members,
    read_picks,
    val_metrics,
    write_fit,
    write_measurement,
    write_member,
    write_picks,
)

PICK = {
    "request_id": "r1-1",
    "image": "a.jpg",
    "task": "depth",
    "score": 0.5,
    "cost": 2.0,
    "weight": 1.0,
    "why": "it",
}
FIT = {
    "round": 1,
    "checkpoint": "rounds/0001/fit/last.ckpt",
    "model": "m",
    "recipe": {"network": {"name": "n"}},
}
FIT |= {"seed": 0, "trained": ["depth"], "images": 3, "labels": {"depth": 2}, "spent": 4.0}
HELDOUT = {
    "round": 1,
    "model": "m",
    "labels": {"depth": 2},
    "spent": 4.0,
    "heldout_labels": {"depth": 1},
    "heldout_spent": 2.0,
    "metrics": {
        "depth": {"RMSE": {"name": "RMSE", "value": math.nan, "unit": "m", "better": "lower"}}
    },
    "losses": {},
    "loss_mtl": math.inf,
}


def test_a_round_without_files_has_nothing_to_say(tmp_path: Path) -> None:
    assert read_fit(tmp_path) is None
    assert read_measurement(tmp_path) is None
    assert read_log(tmp_path) is None
    assert read_picks(tmp_path) == []


def test_what_a_round_wrote_is_read_back_and_what_a_reader_needs_not_is_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "fit.json").write_text(json.dumps(FIT | {"of a later program": 1}))
    (tmp_path / "picks.json").write_text(json.dumps([PICK, PICK | {"score": None}]))
    (tmp_path / "fit").mkdir()
    lines = [
        {"epoch": 1, "lr": 0.1, "loss": {"depth": 1.5}},
        {"epoch": 2, "loss": {}, "val": {"loss_mtl": 2.5}, "terms": {"it.mse": 1.0}},
    ]
    (tmp_path / "fit" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_fit(tmp_path) == Fit(**FIT)
    assert read_picks(tmp_path) == [
        Pick(cell=Cell("a.jpg", "depth"), score=0.5, cost=2.0, why="it", request_id="r1-1"),
        Pick(cell=Cell("a.jpg", "depth"), score=None, cost=2.0, why="it", request_id="r1-1"),
    ]
    assert read_log(tmp_path) == [
        EpochRecord(1, {"depth": 1.5}),
        EpochRecord(2, {}, {"loss_mtl": 2.5}, {"it.mse": 1.0}),
    ]


def test_of_many_rounds_only_the_newest_valid_ones_are_read(tmp_path: Path) -> None:
    for number, models in enumerate(
        [("a", "a"), ("b", "b"), ("c", "trained again"), ("d", "d")], 1
    ):
        folder = tmp_path / "rounds" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "heldout.json").write_text(
            json.dumps(HELDOUT | {"round": number, "model": models[0]})
        )
        (folder / "fit.json").write_text(json.dumps(FIT | {"round": number, "model": models[1]}))
    assert [one.round for one in measured_rounds(tmp_path)] == [1, 2, 4]
    (tmp_path / "rounds" / "0001" / "heldout.json").write_text("{ never read")
    assert [one.round for one in measured_rounds(tmp_path, newest=2)] == [2, 4]


@pytest.mark.parametrize("checkpoint", ["fit/last.ckpt", "fit/best.ckpt"])
@pytest.mark.parametrize("losses", [[3.0, 1.0, 2.0], [1.0, None, None], [2.0, 1.0, 1.0], []])
def test_the_val_metrics_of_a_fit_are_those_of_its_whole_log(
    tmp_path: Path, checkpoint: str, losses: list[float | None]
) -> None:
    (tmp_path / "fit").mkdir()
    lines = [
        {
            "epoch": epoch,
            "loss": {},
            "val": {} if loss is None else {"loss_mtl": loss, "epoch": epoch},
        }
        for epoch, loss in enumerate(losses, 1)
    ]
    (tmp_path / "fit" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert fit_val_metrics(tmp_path, checkpoint) == val_metrics(
        read_log(tmp_path) or [], checkpoint
    )


def test_what_explains_a_pick_is_read_back_and_only_what_is_known_is_written(
    tmp_path: Path,
) -> None:
    why = Explanation(
        quantiles={"unsure": 0.5}, rank=3, without={"noise": 7}, nearest="b.jpg", distance=0.0
    )
    picks = [
        Pick(
            cell=Cell("a.jpg", "depth"),
            score=0.5,
            cost=2.0,
            why="it",
            terms={"unsure": 1.0},
            request_id="r1-1",
            weight=1.0,
            explanation=why,
        )
    ]
    picks += [Pick(cell=Cell("b.jpg", "depth"), score=0.5, cost=2.0, why="it")]
    write_picks(tmp_path, picks)
    assert read_picks(tmp_path) == picks
    first, second = json.loads((tmp_path / "picks.json").read_text())
    assert first["explanation"]["distance"] == 0.0 and not {"terms", "explanation"} & second.keys()


def test_figures_that_are_no_numbers_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "heldout.json").write_text(json.dumps(HELDOUT))
    measured = read_measurement(tmp_path)
    assert measured and (measured.round, measured.model, measured.spent) == (1, "m", 4.0)
    result = measured.metrics["depth"]["RMSE"]
    assert isinstance(result, Result) and math.isnan(result.value) and result.better == "lower"
    assert measured.loss_mtl == math.inf


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("fit.json", b"{", "Expecting property name"),
        ("fit.json", b'"\xff"', "codec can't decode"),
        ("fit.json", b"[]", "a table was expected"),
        ("fit.json", json.dumps({k: v for k, v in FIT.items() if k != "seed"}).encode(), "seed: "),
        (
            "fit.json",
            json.dumps(FIT | {"images": "three"}).encode(),
            "images: a whole number is expected",
        ),
        ("picks.json", b"{}", "a list was expected"),
        ("picks.json", b"[3]", "a table was expected"),
        (
            "picks.json",
            json.dumps([PICK | {"cost": None}]).encode(),
            "cost: a number is expected",
        ),
        (
            "heldout.json",
            json.dumps(HELDOUT | {"metrics": {"depth": 1}}).encode(),
            "metrics.depth: ",
        ),
        ("fit/log.jsonl", b'{"epoch": 1, "loss": {}}\n{"epo', "Unterminated string"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault(
    tmp_path: Path, name: str, content: bytes, fault: str
) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProjectError) as caught:
        for read in (read_fit, read_measurement, read_picks, read_log):
            read(tmp_path)
    assert (
        caught.value.what.startswith("A file of a round is damaged: ")
        and fault in caught.value.what
    )
    assert caught.value.where == str(tmp_path / name)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    fit, member = Fit(**FIT), MemberRecord("rounds/0001/fit/members/a/last.ckpt", "abc")
    picks = [
        Pick(
            cell=Cell("a.jpg", "depth"),
            score=0.5,
            cost=2.0,
            why="it",
            terms={"spread": 0.25},
            request_id="r1-1",
            weight=2.0,
        )
    ]
    metrics = {"depth": {"RMSE": Result("RMSE", 0.5, "m", "lower")}}
    measured = Measurement(
        round=1,
        model="abc",
        labels={"depth": 3},
        spent=6.0,
        heldout_labels={"depth": 2},
        metrics=metrics,
        loss_mtl=1.5,
    )
    write_fit(tmp_path, fit)
    write_member(tmp_path, "a", member)
    write_picks(tmp_path, picks)
    write_measurement(tmp_path, measured, 4.0, {"depth": 0.25})
    assert (read_fit(tmp_path), read_members(tmp_path)) == (fit, {"a": member})
    assert (read_picks(tmp_path), read_measurement(tmp_path)) == (picks, measured)
    assert json.loads((tmp_path / "heldout.json").read_text())["losses"] == {"depth": 0.25}


def test_previews_to_come_are_noted_and_those_of_other_picks_are_removed(tmp_path):
    assert pending_previews(tmp_path) == ()
    (tmp_path / "pictures").mkdir()
    announce_previews(tmp_path, ["prelabels"])
    assert pending_previews(tmp_path) == ("prelabels",) and not (tmp_path / "pictures").exists()
    (tmp_path / PENDING).write_text("pictures\n../x\nprelabels\n")
    assert pending_previews(tmp_path) == ("prelabels", "pictures")
    announce_previews(tmp_path, [])
    assert not (tmp_path / PENDING).exists()


def test_a_metric_that_is_no_number_is_null_in_the_file_and_nan_again(tmp_path: Path) -> None:
    measured = Measurement(
        round=1,
        model="m",
        labels={"edges": 2},
        spent=2.0,
        heldout_labels={"edges": 1},
        metrics={"edges": {"ODS F": Result("ODS F", math.nan, "", "higher")}},
        loss_mtl=math.nan,
        without={"edges": {"ODS F": [math.nan, 0.5]}},
    )
    write_measurement(tmp_path, measured, 1.0, {"edges": math.nan})
    text = (tmp_path / "heldout.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["metrics"]["edges"]["ODS F"]["value"] is None
    read = read_measurement(tmp_path)
    assert read is not None
    assert math.isnan(read.metrics["edges"]["ODS F"].value)
    assert math.isnan(read.loss_mtl)
    assert math.isnan(read.without["edges"]["ODS F"][0])
