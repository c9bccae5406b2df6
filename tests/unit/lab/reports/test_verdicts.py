"""Laws of verdicts on made outcomes: nothing is found in nothing, what is planted is, and few seeds tell nothing."""

from dataclasses import replace

from labelgrid.lab.reports.campaign_measures import campaign_measures
from labelgrid.lab.reports.measure import CampaignMeasure, deciding_measure
from labelgrid.lab.reports.verdicts import power_statement, verdict_rows, verdict_table
from tests.unit.report.made import HEADLINES, Effect, noise, nothing, planted, point_results

THREE = ("partal", "random_cells", "random_images")


def first(found: object) -> CampaignMeasure:
    return campaign_measures(found, HEADLINES)[0]


def said(effect: Effect, seeds: int, strategies: tuple[str, ...] = THREE) -> dict[str, str]:
    """The verdict on each arm, compared with random cells."""
    rows = verdict_rows(first(point_results(effect, seeds, strategies)), "random_cells")
    assert {row.baseline for row in rows} == {"random_cells"}
    return {row.arm: row.compared.verdict for row in rows}


def test_a_study_of_nothing_finds_no_difference() -> None:
    for seed in range(5):
        assert said(noise(seed), 8) == dict.fromkeys(("partal", "random_images"), "within noise")
    assert set(said(nothing, 8).values()) == {"within noise"}


def test_a_planted_difference_is_found_with_eight_seeds_on_either_side_of_the_baseline() -> None:
    found = {"partal": "within noise", "random_images": "better"}
    assert said(planted("random_images", 0.2), 8) == found
    assert said(planted("partal", 0.2), 8) == {"partal": "better", "random_images": "within noise"}
    assert said(planted("random_cells", 0.2), 8) == dict.fromkeys(found, "worse")


def test_few_seeds_cannot_tell_however_large_the_difference() -> None:
    for seeds in (1, 2, 3, 6):
        assert set(said(planted("partal", 3.0), seeds).values()) == {"cannot tell"}
    assert said(planted("partal", 3.0), 6, THREE[:2]) == {"partal": "better"}


def test_a_row_is_arm_minus_baseline_whatever_the_order_of_the_pair() -> None:
    measure = first(point_results(planted("random_images", 0.2), 8, THREE))
    rows = {row.arm: row.compared for row in verdict_rows(measure, "random_cells")}
    pair = measure.pairs["random_cells", "random_images"]
    turned = rows["random_images"]
    assert turned.mean == -pair.mean < 0 and (turned.low, turned.high) == (-pair.high, -pair.low)
    assert (turned.p, turned.holm, turned.seeds) == (pair.p, pair.holm, pair.seeds)
    assert rows["partal"] == measure.pairs["partal", "random_cells"]


def test_without_the_baseline_every_pair_has_a_row() -> None:
    rows = verdict_rows(first(point_results(nothing, 3)), "absent")
    assert [(row.arm, row.baseline) for row in rows] == [("partal", "random_cells")]
    assert verdict_rows(first(point_results(nothing, 3, ("partal",))), "absent") == []


def test_the_table_holds_difference_interval_p_and_verdict() -> None:
    rows = verdict_rows(first(point_results(planted("partal", 0.2), 8)), "random_cells")
    table = verdict_table(rows)
    names = [column.name for column in table.columns]
    assert names == [
        *("arm", "baseline", "difference", "95 % interval", "p corrected", "seeds", "verdict")
    ]
    (row,) = table.rows
    assert row[:2] == ["partal", "random_cells"] and row[2].startswith("−0.1")
    assert row[4:] == [0.0078125, 8, "better"]
    few = verdict_rows(first(point_results(nothing, 3)), "random_cells", "train.steps=5")
    names = [column.name for column in verdict_table(few).columns]
    assert "smallest to largest" in names and names[2] == "point"
    assert verdict_table(few).rows[0][2] == "train.steps=5"


def test_a_few_seeds_show_no_difference_and_it_is_said_how_many_would() -> None:
    pairs = first(point_results(planted("partal", 3.0), 3, THREE)).pairs
    assert "With 3 seeds, p cannot be below 0.25" in power_statement(pairs)
    assert (
        "no difference can be seen, however large. A level of 5 % takes at least 7 seeds."
        in power_statement(pairs)
    )
    six = power_statement(
        first(point_results(planted("partal", 3.0), 6, THREE)).pairs
    )  # enough for one pair, not for three
    assert (
        "p cannot be below 0.03125, or below 0.09375 after correction for 3 pairs: no difference can be seen"
        in six
    )
    assert "takes" not in power_statement(first(point_results(nothing, 8, THREE)).pairs)
    assert "One seed cannot show a difference" in power_statement(
        first(point_results(nothing, 1)).pairs
    )
    assert "nothing to compare" in power_statement({})


def test_the_verdict_is_on_the_first_measure_with_a_test_and_a_pair_without_one_says_why() -> None:
    whole = point_results(planted("partal", 0.2), 8, THREE)
    found = []
    for run in whole.runs:
        if run.strategy == "partal":
            more = [
                replace(one, labels={"depth": sum(one.labels.values()) + 1}) for one in run.measured
            ]
            run = replace(run, measured=more)
        found.append(run)
    measures = campaign_measures(replace(whole, runs=found), HEADLINES)
    table = verdict_table(verdict_rows(measures[0], "random_cells"))
    why = "cannot tell: they share no two rounds with the same labels"
    assert [(row[0], row[-1]) for row in table.rows] == [
        ("partal", why),
        ("random_images", "within noise"),
    ]
    assert table.rows[0][4] != table.rows[0][4], "p is no number, and shown as a dash"
    two = campaign_measures(replace(whole, runs=found, strategies=THREE[:2]), HEADLINES)
    deciding = deciding_measure(two)
    assert deciding and deciding.name == "Mean loss_mtl over cost"
    (row,) = verdict_rows(deciding, "random_cells")
    assert row.compared.words == "better"
    assert power_statement(two[0].pairs) == (
        "No two strategies have a fair test: the verdicts say why."
    )
    assert deciding_measure([]) is None and deciding_measure(two[:1]) == two[0]
