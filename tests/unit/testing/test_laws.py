"""Laws of `labelgrid check-plugin`: each law of a sort is run on a plug-in from outside, and each says how it ended."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError, UsageError
from labelgrid.cli import app
from labelgrid.testing import laws
from labelgrid.testing.laws import LawOutcome, Subject, laws_of, outcomes
from tests.commands import run

COVERS = ["labelgrid.testing.analyses", "labelgrid.testing.scenes", "labelgrid.testing.toys"]
RIGHT = "tests.contracts.wrong_formats:Right"
WRONG = "tests.contracts.wrong_formats:HasLongExamples"


@dataclass(frozen=True)
class Options:
    """Of `build`, a wrong strategy: its options are none."""


def test_every_sort_of_plug_in_has_laws() -> None:
    for folder in plugins.FOLDERS:
        names = [law.__name__ for law in laws_of(folder)]
        assert len(names) > 3 and len(set(names)) == len(names), folder


def test_each_law_of_a_right_plug_in_passes_or_says_why_it_says_nothing() -> None:
    found = list(outcomes(Subject("formats", RIGHT)))
    assert [outcome.law for outcome in found] == [law.__name__ for law in laws_of("formats")]
    assert all(outcome.state != "failed" for outcome in found), found
    assert all(bool(outcome.message) == (outcome.state == "idle") for outcome in found)
    idle = {outcome.law: outcome.message for outcome in found if outcome.state == "idle"}
    assert idle == {"its_options_need_no_torch": "this sort takes no table of options."}


def test_a_law_that_fails_says_what_was_expected_and_where() -> None:
    found = {outcome.law: outcome for outcome in outcomes(Subject("formats", WRONG))}
    outcome = found["it_declares_what_it_holds"]
    assert outcome.state == "failed"
    assert "EXAMPLES of tests.contracts.wrong_formats:HasLongExamples must be" in outcome.message
    assert "testing/laws.py:" not in outcome.message.splitlines()[0]
    assert "testing/formats.py:" in outcome.message


def test_what_a_plug_in_raises_is_a_law_that_fails(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY", raising=False)
    (tmp_path / "raising_strategy.py").write_text(
        '"""Raises."""\nfrom dataclasses import dataclass\n\n\n@dataclass(frozen=True)\n'
        "class Options:\n    pass\n\n\nclass Raises:\n    needs = frozenset()\n    unit = 'cells'\n\n"
        "    def select(self, pool, budget):\n        return {}['nothing']\n\n\n"
        "def build(options):\n    return Raises()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "raising_strategy")
    found = list(outcomes(Subject("strategies", "raising_strategy:build")))
    failed = [outcome for outcome in found if outcome.state == "failed"]
    assert len(failed) == 7
    assert not (tmp_path / ".hypothesis").exists()
    for outcome in failed:
        assert outcome.message.startswith("it raised KeyError: 'nothing'")
        assert "raising_strategy.py:15" in outcome.message


def test_the_command_prints_a_line_for_each_law_and_fails_if_one_does() -> None:
    text = run("check-plugin", "formats", RIGHT)
    count = len(laws_of("formats"))
    assert text.count("passed  ") == count - 1 and "idle  " in text
    assert text.endswith(
        f"{count - 1} of {count} laws passed, none failed, 1 not for this plug-in.\n"
    )
    done = CliRunner().invoke(app, ["check-plugin", "formats", WRONG, "--json"])
    assert done.exit_code == 1
    values = json.loads(done.stdout)
    assert (values["folder"], values["name"]) == ("formats", WRONG)
    assert {law["state"] for law in values["laws"]} == {"passed", "failed", "idle"}
    assert list(values["laws"][0]) == ["law", "state", "message"]


def test_a_sort_a_module_and_an_untrusted_plug_in_that_cannot_be_are_refused(monkeypatch) -> None:
    with pytest.raises(UsageError, match="There is no sort of plug-ins 'formatz'") as refused:
        run("check-plugin", "formatz", RIGHT)
    assert "formats" in str(refused.value)
    for name in (
        "tests.no_such_module:build",
        "tests.contracts.wrong_formats:Nothing",
        "no_format",
    ):
        with pytest.raises(PluginError):
            run("check-plugin", "formats", name)
    with pytest.raises(PluginError, match="cannot be imported"):
        run("check-plugin", "formats", RIGHT, "--with", "tests.no_such_module")
    monkeypatch.setenv("LABELGRID_TRUST", "tests")
    with pytest.raises(PluginError, match="have not said that you trust"):
        run("check-plugin", "formats", RIGHT, "--with", "somebodys")
    monkeypatch.setenv("LABELGRID_TRUST", "")
    with pytest.raises(PluginError, match="have not said that you trust"):
        run("check-plugin", "formats", RIGHT)


def test_a_connector_and_a_layout_that_nobody_answers_for_say_why_no_law_runs() -> None:
    with pytest.raises(PluginError, match=r"No law can hold for 'folder': .* no `answer`") as told:
        run("check-plugin", "tools", "folder")
    assert "--with" in str(told.value) and "Nothing was checked." in str(told.value)
    with pytest.raises(PluginError, match="no `lay_out`"):
        run("check-plugin", "layouts", "nyud")
    found = run("check-plugin", "layouts", "folder", "--with", "tests.layouts.folder")
    assert "none failed" in found


def test_an_extra_that_lacks_is_told_with_its_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "labelgrid.testing.strategies", raising=False)
    with pytest.raises(PluginError, match=r"pip install 'labelgrid\[testing\]'"):
        laws_of("strategies")


@pytest.mark.parametrize("name", [RIGHT, WRONG])
def test_where_python_leaves_assertions_out_no_law_is_held(name) -> None:
    words = [sys.executable, "-O", "-m", "labelgrid", "check-plugin", "formats", name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Python leaves assertions out here" in done.stderr
    assert "without -O" in done.stderr and "Nothing was checked." in done.stderr


def test_no_command_but_this_one_loads_the_laws() -> None:
    code = (
        "import sys; import labelgrid, labelgrid.cli, labelgrid.api.project; "
        "print([name for name in sys.modules if 'labelgrid.testing' in name or name == 'pytest'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_message_names_the_line_of_a_bare_assertion() -> None:
    def broken(_case: object) -> None:
        assert LawOutcome("a", "idle").state == "passed"

    outcome = laws._outcome(broken, Subject("formats", RIGHT), None)
    assert outcome.state == "failed"


STRATEGY = '''"""Ends."""
{start}
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    pass


def build(options):
    {build}
'''


@pytest.fixture
def write_ending(tmp_path, monkeypatch):
    """Writes the trusted strategy `ending:build`."""

    def write(start: str = "", build: str = "return None") -> None:
        (tmp_path / "ending.py").write_text(STRATEGY.format(start=start, build=build))

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "ending")
    yield write
    sys.modules.pop("ending", None)


def checked(name: str) -> "tuple[int, list[dict[str, str]]]":
    done = CliRunner().invoke(app, ["check-plugin", "strategies", name, "--json"])
    return done.exit_code, json.loads(done.stdout)["laws"]


@pytest.mark.parametrize(
    ("start", "build", "words"),
    [
        ("import sys", "sys.exit(0)", "SystemExit: 0"),
        ("", "raise SystemExit('no licence')", "SystemExit: no licence"),
        (
            "from labelgrid.basics.errors import PluginError",
            "raise PluginError('It needs a card.')",
            "It needs a card.",
        ),
    ],
)
def test_a_plug_in_that_ends_or_refuses_breaks_laws_and_ends_none(
    write_ending, start, build, words
) -> None:
    write_ending(start, build)
    code, found = checked("ending:build")
    assert code == 1 and len(found) == len(laws_of("strategies"))
    failed = [law for law in found if law["state"] == "failed"]
    assert len(failed) == 7 and all(words in law["message"] for law in failed)


def test_a_law_that_the_plug_in_ends_has_failed() -> None:
    def ends(_case: object) -> None:
        sys.exit(0)

    outcome = laws._outcome(ends, Subject("formats", RIGHT), None)
    assert outcome.state == "failed" and "it raised SystemExit: 0" in outcome.message

    def interrupted(_case: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        laws._outcome(interrupted, Subject("formats", RIGHT), None)


def test_a_plug_in_that_ends_at_import_is_refused(write_ending) -> None:
    write_ending("import sys\nsys.exit(0)")
    with pytest.raises(PluginError, match=r"'ending:build' cannot be imported: SystemExit: 0\."):
        run("check-plugin", "strategies", "ending:build")
    write_ending("import sys\ndataclass = sys.exit(0)")
    with pytest.raises(PluginError, match=r"'ending:build' cannot be imported: SystemExit: 0\."):
        plugins.options_class("strategies", "ending:build")


def test_what_drawing_keeps_goes_with_the_run(tmp_path) -> None:
    program = (
        "from labelgrid.testing.laws import Subject, outcomes; "
        "print({one.state for one in outcomes(Subject('strategies', 'random_cells'))})"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("HYPOTHESIS_STORAGE_DIRECTORY", None)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{'passed'}\n" and not list(tmp_path.iterdir())
