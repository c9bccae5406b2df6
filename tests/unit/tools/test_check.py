import sys

from tools import names
from tools.check import CHECKS, main, run
from tools.source import ROOT, modules


def says(text, status):
    return (sys.executable, "-c", f"print({text!r}); raise SystemExit({status})")


def test_every_failure_is_shown_and_counted_not_only_the_first(capsys):
    checks = {
        "one": says("first fault", 1),
        "two": says("quiet", 0),
        "three": says("second fault", 1),
    }
    assert run([], checks) == 2
    out = capsys.readouterr().out
    assert "first fault" in out
    assert "second fault" in out
    assert "quiet" not in out
    assert sorted(
        line.split()[:2] for line in out.splitlines() if line.startswith(("ok", "FAIL"))
    ) == [
        ["FAIL", "one"],
        ["FAIL", "three"],
        ["ok", "two"],
    ]
    assert out.splitlines()[-1] == "2 of 3 checks failed."


def test_a_light_check_is_shown_as_any_other_also_when_it_breaks(capsys, monkeypatch):
    assert main(["names", "classes"]) == 0
    monkeypatch.setattr(names, "faults", lambda root: ["a kind is named elsewhere"])
    assert main(["names", "classes"]) == 1
    monkeypatch.setattr(names, "faults", lambda root: 1 / 0)
    assert main(["names", "classes"]) == 1
    out = capsys.readouterr().out
    assert "      a kind is named elsewhere\n" in out
    assert "      ZeroDivisionError: division by zero\n" in out
    assert out.count("ok    classes") == 3
    assert out.count("FAIL  names") == 2


def test_only_the_named_checks_run(capsys):
    assert run(["two"], {"one": says("", 1), "two": says("", 0)}) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "All checks passed."


def test_a_check_that_does_not_exist_is_wrong_usage(capsys):
    assert main(["spelling"]) == 2
    assert "There is no check spelling; the checks are: markdown, mypy, " in capsys.readouterr().err


def test_every_module_of_the_tools_that_finds_faults_is_a_check():
    finders = {
        module.path.stem for module in modules(ROOT, "tools") if "def faults(" in module.text
    }
    assert len(finders) > 5
    assert finders <= set(CHECKS)
