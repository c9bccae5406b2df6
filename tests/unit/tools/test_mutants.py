from tools.mutants import END, PAGE, START, forget_removed, read, survivors, table, write

RESULTS = """
    labelgrid.select.parts.x_buy__mutmut_1: killed
    labelgrid.select.parts.x_buy__mutmut_2: survived
    labelgrid.select.parts.xǁMinMaxǁapply__mutmut_1: no tests
    labelgrid.select.strategies.partal.x_build__mutmut_1: timeout
    labelgrid.pixel.losses.x__kept__mutmut_1: not checked
"""


def test_the_table_counts_by_module_and_leaves_untested_mutants_out_of_the_share():
    assert table(read(RESULTS)).splitlines()[2:] == [
        "| `labelgrid.pixel.losses` | 1 | 0 |  | 0 | 1 |",
        "| `labelgrid.select.parts` | 3 | 1 | 33.3 % | 2 | 0 |",
        "| `labelgrid.select.strategies.partal` | 1 | 1 | 100.0 % | 0 | 0 |",
        "| **all** | 5 | 2 | 50.0 % | 2 | 1 |",
    ]


def test_survivors_are_those_that_no_test_caught_in_the_named_modules():
    uncaught = [
        "labelgrid.select.parts.x_buy__mutmut_2",
        "labelgrid.select.parts.xǁMinMaxǁapply__mutmut_1",
    ]
    assert survivors(read(RESULTS)) == uncaught
    assert (
        survivors(read(RESULTS), ["labelgrid.select"])
        == survivors(read(RESULTS), ["labelgrid.select.parts"])
        == uncaught
    )
    assert survivors(read(RESULTS), ["labelgrid.select.part", "labelgrid.pixel"]) == []


def test_the_table_takes_the_place_of_the_earlier_one(plant):
    root = plant({str(PAGE): f"Before.\n{START}old\n{END}\nAfter.\n"})
    write(root, "new")
    write(root, "newer")
    assert (root / PAGE).read_text() == f"Before.\n{START}\nnewer\n\n{END}\nAfter.\n"


def test_copies_of_removed_modules_and_tests_are_removed(tmp_path):
    for name in (
        "src/a.py",
        "mutants/src/a.py",
        "mutants/src/gone.py",
        "mutants/tests/unit/test_gone.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    forget_removed(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("mutants/**/*.py")) == ["a.py"]
