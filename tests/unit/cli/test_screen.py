"""Laws of what the user sees: results on stdout, all else on stderr, nothing mangled."""

import io
import json
import math

import pytest
from rich.console import Console

from labelgrid.basics.errors import LabelError
from labelgrid.cli import screen, study_screen

LONG = "word " * 60 + "end"


def test_a_bar_without_work_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.Bar() as bar:
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_each_piece_of_work_is_one_line_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with screen.Bar() as bar:
        bar.start("Reading", 3, "files")
        bar.advance()
        bar.advance(2, "the last")
        bar.start("Writing", 5, "images")
        bar.advance(4)
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.strip()]
    assert out == "" and len(lines) == 2
    assert lines[0].startswith("Reading") and "3/3" in lines[0] and "the last" in lines[0]
    assert lines[1].startswith("Writing") and "4/5" in lines[1]


def test_a_step_of_nothing_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.Bar() as bar:
        bar.start("Checking labels", 0, "files")
    assert capsys.readouterr().err == ""


def test_without_a_terminal_long_work_has_a_line_every_five_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])
    with screen.Bar() as bar:
        bar.start("Training", 100, "images")
        for _ in range(9):
            now[0] += 1.5
            bar.advance(2, "epoch 1/5")
        told = capsys.readouterr().err.splitlines()
    assert told == [
        "Training 8/100 images, 1.3 images/s, ETA 69 s epoch 1/5",
        "Training 16/100 images, 1.3 images/s, ETA 63 s epoch 1/5",
    ]
    assert capsys.readouterr().err == "Training 18/100 images epoch 1/5\n"


def test_a_terminal_shows_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, now = io.StringIO(), iter(range(10_000))
    terminal = Console(file=seen, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(screen, "console", terminal)
    with screen.Bar() as bar:
        bar.steps.bars.get_time = lambda: float(next(now))
        bar.start("Training", 100, "images")
        for _ in range(10):
            bar.advance(2, "epoch 1/5")
        bar.steps.bars.refresh()
    text = seen.getvalue()
    assert "images/s" in text and "ETA" in text and "epoch 1/5" in text and "20/100" in text


def test_what_is_said_beside_a_bar_is_not_cut_or_read_as_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with screen.Bar() as bar:
        bar.say(f"a[0].jpg [red]{LONG}")
        bar.start("Reading", 1, "files")
        bar.say(f"b[1].jpg {LONG}")
    err = capsys.readouterr().err
    assert f"a[0].jpg [red]{LONG}\n" in err and f"b[1].jpg {LONG}" in err


def test_a_refusal_stands_on_stderr_with_its_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_error(
        LabelError(
            f"It is wrong: {LONG}.",
            where="[a].png",
            next_step="Fix [it].",
            unchanged="Nothing moved.",
        )
    )
    assert capsys.readouterr() == (
        "",
        f"Error: It is wrong: {LONG} ([a].png).\n  Fix [it]. Nothing moved.\n",
    )
    screen.print_error(LabelError("It is wrong."))
    assert capsys.readouterr() == ("", "Error: It is wrong.\n")


def test_results_stand_on_stdout_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    screen.say(f"[bold]{LONG}")
    assert capsys.readouterr() == (f"[bold]{LONG}\n", "")
    screen.print_json({"a": [1, None], "b": "[x]"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": [1, None], "b": "[x]"} and err == ""


NAME = "a/very/long/folder/of/images/" * 3 + "[1].jpg"


def cells_of(text: str) -> list[list[str]]:
    return [line.strip("│").split("│") for line in text.splitlines() if line.startswith("│")]


def test_a_table_holds_every_value_and_numbers_stand_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.print_table(
        "Of [two]", ["image", "cost"], [[NAME, 1.23456], ["b.jpg", 10], ["c.jpg", 2.0]]
    )
    out, err = capsys.readouterr()
    assert err == "" and out.splitlines()[0].rstrip() == "Of [two]"
    assert [row[0].strip() for row in cells_of(out)] == [
        NAME,
        "b.jpg",
        "c.jpg",
    ]  # not folded: no terminal
    assert [row[1] for row in cells_of(out)] == [" 1.235 ", "    10 ", "     2 "]


def test_a_table_is_folded_to_the_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(
        screen, "out", Console(file=seen, force_terminal=True, width=60, color_system=None)
    )
    screen.print_table("", ["image", "cost"], [[NAME, 1.23456]])
    text = seen.getvalue()
    assert max(map(len, text.splitlines())) == 60
    assert "".join(row[0].strip() for row in cells_of(text)) == NAME


def test_control_characters_of_file_names_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "a\x1b[31m\x07\x7f\x9b\udcff\u202e.jpg"
    screen.say(name)
    screen.note(name)
    screen.print_error(LabelError(name, where=name, next_step=name))
    screen.print_table(name, [name], [[name]])
    with screen.Bar() as bar:
        bar.say(name)
        bar.start(name, 1, "files")
        bar.advance(note=name)
    shown = "".join(capsys.readouterr())
    assert r"a\x1b[31m\x07\x7f\x9b\udcff\u202e.jpg" in shown
    assert not {"\x1b", "\x07", "\x7f", "\x9b", "\udcff", "\u202e"} & set(shown)


def test_a_table_without_rows_is_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_table("", ["name"], [])
    assert "name" in capsys.readouterr().out


def test_many_runs_are_a_table_with_the_time_left_at_the_rate_of_this_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from labelgrid.lab.simulation.runner import JobStatus

    seen = io.StringIO()
    monkeypatch.setattr(
        screen, "console", Console(file=seen, force_terminal=True, width=120, color_system=None)
    )
    reports = {
        "a": JobStatus(
            state="done", work=100.0, done=100.0, done_before=100.0
        ),  # by an earlier call
        "b": JobStatus(
            state="running", what="Training 3/8", work=100.0, done=50.0, done_before=0.0
        ),
        "c": JobStatus(state="failed", fault="no [disk]", work=900.0),
        "d": JobStatus(work=100.0),
        "e": JobStatus(state="stopped", fault="It was stopped.", work=900.0),
    }
    with study_screen.Runs() as table:
        table.shown_at -= 600.0
        table.show(reports)
        table.live.refresh()
    for words in (
        "3 of 5 runs, ETA 30 min; 1 waiting",
        "Training 3/8",
        "no [disk]",
        "It was stopped.",
    ):
        assert words in seen.getvalue()


def test_of_many_runs_those_that_are_running_are_on_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from labelgrid.lab.simulation.runner import JobStatus

    seen = io.StringIO()
    narrow = Console(file=seen, force_terminal=True, width=80, height=12, color_system=None)
    monkeypatch.setattr(screen, "console", narrow)
    reports = {f"old{n}": JobStatus(state="done", work=1.0, done=1.0) for n in range(40)}
    reports |= {f"next{n}": JobStatus() for n in range(40)} | {
        "now": JobStatus(state="running", what="Training 1/2")
    }
    with study_screen.Runs() as table:
        table.show(reports)
        table.live.refresh()
    assert (
        "40 of 81 runs" in seen.getvalue()
        and "40 waiting" in seen.getvalue()
        and "Training 1/2" in seen.getvalue()
    )


def test_without_a_terminal_a_run_has_a_line_a_change_and_one_every_few_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from labelgrid.lab.simulation.runner import JobStatus

    table = study_screen.Runs()
    table.seconds["a"] = 60.0
    for state, done, since in (
        ("waiting", 0.0, 0.0),
        ("running", 0.0, 0.0),
        ("running", 1.0, 0.0),
        ("running", 2.0, screen.EVERY),
        ("done", 4.0, 0.0),
    ):
        table.printed_at -= since
        table.show({"a": JobStatus(state=state, work=4.0, done=done)})
    told = [
        "a: running 0 % (0 of 1 run)",
        "a: running 50 % (0 of 1 run, ETA 60 s)",
        "a: done (1 of 1 run, ETA 0 s)",
    ]
    assert capsys.readouterr().err.split("\n") == [*told, ""]


def test_json_has_null_for_a_figure_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_json(
        {"tasks": [{"mIoU": math.nan, "mErr": 21.5}], "change": -math.inf, "rounds": 3}
    )
    strict = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert strict == {"tasks": [{"mIoU": None, "mErr": 21.5}], "change": None, "rounds": 3}
