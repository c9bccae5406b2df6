"""Laws of every page: whole, alone, readable by all, and text stays text."""

from dataclasses import replace

from labelgrid.ledger.grid import Cell, Explanation, Pick
from labelgrid.report.content import Hint, Round, RoundPicks, ShownPick, SplitCells, Training
from labelgrid.report.html_page import BEGINS
from tests.unit.report.reading import JPEG, TWO, Page, a_report, counted, html

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;b&gt;{{ 7*7 }}"


def test_the_page_is_whole_html_that_loads_nothing_and_runs_nothing() -> None:
    pick = ShownPick(
        Pick(cell=Cell("a.jpg", "depth"), score=0.5, cost=1.0, why="unsure"), {"image": JPEG}
    )
    page = Page(
        html(
            a_report(
                measured=TWO,
                picked=RoundPicks(2, 1, [pick]),
                training=Training(2, {"depth": {1: 0.5, 2: 0.25}}),
            )
        )
    )
    assert page.html.startswith(BEGINS) and BEGINS.startswith("<!doctype html>")
    assert not page.named("script") and not page.named("link")
    assert all(image["src"].startswith("data:image/") for image in page.named("img"))
    assert all(link["href"].startswith("#") for link in page.named("a"))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "url(" not in page.html and "@import" not in page.html
    policy = next(
        m["content"] for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_every_link_of_the_page_leads_to_a_place_on_it() -> None:
    page = Page(html(a_report()))
    places = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {link["href"][1:] for link in page.named("a")} == places


def test_every_picture_has_words_for_those_who_do_not_see_it() -> None:
    pick = ShownPick(
        Pick(cell=Cell("a.jpg", "depth"), score=0.5, cost=1.0, why="unsure"), {"image": JPEG}
    )
    page = Page(
        html(
            a_report(
                measured=TWO,
                picked=RoundPicks(2, 1, [pick]),
                training=Training(2, {"depth": {1: 0.5, 2: 0.25}}),
            )
        )
    )
    assert all(image["alt"] for image in page.named("img"))
    words = [image["alt"] for image in page.named("img")]
    assert "mIoU (%) against training labels: from 21.25 at 20 to 33.75 at 40" in words
    assert "mIoU (%) against cost of training labels: from 21.25 at 110 to 33.75 at 220" in words
    assert "depth: loss against epoch: from 0.5 at 1 to 0.25 at 2" in words


def test_one_report_always_makes_the_same_page() -> None:
    assert html(a_report(measured=TWO)) == html(a_report(measured=TWO))


def test_text_from_outside_never_becomes_markup() -> None:
    plain = html(a_report(measured=TWO[:1]))
    why = Explanation(quantiles={HOSTILE: 0.5}, rank=2, without={HOSTILE: 3}, nearest=HOSTILE)
    report = a_report(
        measured=TWO[:1],
        name=HOSTILE,
        about={HOSTILE: HOSTILE},
        headlines={"semseg": "mIoU", HOSTILE: HOSTILE},
        parts=[SplitCells(HOSTILE, 10, [replace(counted(), task=HOSTILE, kind=HOSTILE)])],
        rounds=[
            Round(number=1, state=HOSTILE, strategy=HOSTILE, budget=HOSTILE, picks={HOSTILE: 3})
        ],
        picked=RoundPicks(
            1,
            1,
            [
                ShownPick(
                    Pick(
                        cell=Cell(HOSTILE, HOSTILE),
                        score=0.5,
                        cost=1.0,
                        why=HOSTILE,
                        terms={HOSTILE: 1.0},
                        explanation=why,
                    )
                )
            ],
        ),
        training=Training(1, {HOSTILE: {1: 0.5}}),
        hints={name: Hint(HOSTILE, HOSTILE) for name in ("metrics", "rounds", "picks", "training")},
    )
    page = Page(html(report))
    assert not page.named("script")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    known = {tag for tag, _ in Page(plain).tags} | {
        "article",
        "span",
        "figure",
        "figcaption",
        "img",
    }
    assert {tag for tag, _ in page.tags} <= known
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.named("img"))
    assert HOSTILE in page.section("picks").text
    assert page.text.count(HOSTILE) >= 18
