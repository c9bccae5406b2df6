"""Laws of the count of modules that a cell passes."""

from labelgrid import plugins
from labelgrid.streams import seed_of
from tools.passes import passed
from tools.source import ROOT

PACKAGE = ROOT / "src" / "labelgrid"


def test_the_modules_in_which_a_function_runs_are_noted_and_no_others() -> None:
    with passed(PACKAGE) as modules:
        seed_of(0, "a")
    assert modules == {"streams.py"}
    with passed(PACKAGE) as both:
        plugins.names("select")
        seed_of(0, "a")
    assert both == {"plugins.py", "streams.py"}
