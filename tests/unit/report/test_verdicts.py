"""Laws of verdicts on made outcomes: nothing is found in nothing, what is planted is, and one seed tells nothing."""

from labelgrid.report.campaign_measures import campaign_measures
from labelgrid.report.verdicts import power_statement, verdicts
from tests.unit.report.made import HEADLINES, noise, nothing, planted, point_results

THREE = ("partal", "random_cells", "random_images")


def first(found: object) -> object:
    return campaign_measures(found, HEADLINES, "random_cells")[0]


def said(effect: object, seeds: int, strategies: tuple[str, ...] = THREE) -> list[str]:
    return [line for line, _ in verdicts(first(point_results(effect, seeds, strategies)))]


def test_a_study_of_nothing_finds_no_difference() -> None:
    for seed in range(5):
        lines = said(noise(seed), 8)
        assert lines == [
            f"No difference seen between {a} and {b} with 8 seeds."
            for a, b in (THREE[:2], (THREE[0], THREE[2]), THREE[1:])
        ]
    assert all("No difference" in line for line in said(nothing, 8))


def test_a_planted_difference_is_found_with_eight_seeds_and_said_first() -> None:
    assert said(planted("random_images", 0.2), 8) == [
        "partal is worse than random_images with 8 seeds.",
        "random_cells is worse than random_images with 8 seeds.",
        "No difference seen between partal and random_cells with 8 seeds.",
    ]
    line, rests_on = verdicts(first(point_results(planted("partal", 0.2), 8)))[0]
    assert line == "partal is better than random_cells with 8 seeds."
    assert rests_on.startswith("Mean loss_mtl over labels, partal − random_cells: −0.1")


def test_a_few_seeds_show_no_difference_however_large_and_say_so() -> None:
    for seeds in (1, 2, 3):
        assert all("No difference" in line for line in said(planted("partal", 3.0), seeds))
    pairs = first(point_results(planted("partal", 3.0), 3, THREE)).pairs()
    assert "With 3 seeds, p cannot be below 0.25" in power_statement(pairs)
    assert (
        "no difference can be seen, however large. A level of 5 % takes at least 7 seeds."
        in power_statement(pairs)
    )
    six = power_statement(
        first(point_results(planted("partal", 3.0), 6, THREE)).pairs()
    )  # enough for one pair, not for three
    assert (
        "p cannot be below 0.03125, or below 0.09375 after correction for 3 pairs: no difference can be seen"
        in six
    )
    assert "takes" not in power_statement(first(point_results(nothing, 8, THREE)).pairs())
    assert "One seed cannot show a difference" in power_statement(
        first(point_results(nothing, 1)).pairs()
    )
    assert "nothing to compare" in power_statement({})


def test_many_pairs_are_summed_up_but_for_the_differences() -> None:
    many = tuple("abcdef")
    lines = said(planted("c", 0.5), 12, many)
    assert len(lines) == 6 and lines[-1] == "No difference was seen in the other 10 pairs."
    assert said(nothing, 3, many) == ["No difference was seen in any of the 15 pairs."]
