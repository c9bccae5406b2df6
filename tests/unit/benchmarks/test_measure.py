"""The figures of benchmarks: medians of pairs, bars from both sides, memory of a process of its own."""

import sys

import pytest

from tools.source import ROOT


@pytest.fixture
def measure(monkeypatch):
    import importlib

    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("_measure")


def test_a_ratio_is_the_median_over_pairs_so_that_one_disturbed_pair_does_not_count(measure):
    mine, its = (
        measure.Times([1.0, 9.0, 2.0], [3.0, 3.0, 3.0]),
        measure.Times([1.0, 1.0, 1.0], [1.0, 1.0, 9.0]),
    )
    assert mine.over(its) == 2
    assert mine.work_over(its) == 3


def test_sides_take_turns_after_a_warm_up(measure):
    calls = []
    times = measure.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert "".join(calls) == "ababab"
    assert [len(times[side].wall) for side in "ab"] == [2, 2]


@pytest.mark.parametrize(
    ("found", "least", "holds"),
    [(1.1, False, True), (1.3, False, False), (1.3, True, True), (1.1, True, False)],
)
def test_a_bar_is_held_from_its_side(measure, capsys, found, least, holds):
    assert measure.check_limit("claim", found, 1.2, least=least) == holds
    assert ("DOES NOT HOLD" in capsys.readouterr().out) != holds


def test_a_commands_memory_text_and_failure_are_its_own(measure, tmp_path):
    code = "import os; x = bytearray(2**27); print(os.getcwd())"
    ran = measure.command([sys.executable, "-c", code], tmp_path)
    assert ran.text.strip() == str(tmp_path) and ran.peak > 128 and ran.processor > 0
    with pytest.raises(SystemExit, match=r"exits with 3"):
        measure.command([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_process_of_its_own_does_not_inherit_our_peak(measure, tmp_path):
    check_limit = bytearray(2**29)
    file = tmp_path / "small.py"
    file.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r})\nimport _measure\nprint(_measure.peak_mib())"
    )
    assert measure.run_isolated(str(file)) < 200
    assert measure.peak_mib() > len(check_limit) / 2**20
