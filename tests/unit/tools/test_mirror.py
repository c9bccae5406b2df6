from tools.mirror import faults


def test_a_module_without_a_test_module_is_found(plant):
    root = plant(
        {"src/labelgrid/select/strategies/partal.py": "", "src/labelgrid/basics/errors.py": ""}
    )
    assert faults(root) == [
        "src/labelgrid/basics/errors.py: no tests/unit/basics/test_errors.py, and no test module has 'labelgrid.basics.errors' "
        "in its COVERS list",
        "src/labelgrid/select/strategies/partal.py: no tests/unit/select/strategies/test_partal.py, and no test "
        "module has 'labelgrid.select.strategies.partal' in its COVERS list",
    ]


def test_a_test_module_in_the_same_place_is_enough(plant):
    files = {
        "src/labelgrid/select/strategies/partal.py": "",
        "tests/unit/select/strategies/test_partal.py": "",
        "tools/a.py": "",
    }
    assert faults(plant({**files, "tests/unit/tools/test_a.py": ""})) == []


def test_a_covers_list_stands_for_a_module_and_for_all_of_a_package(plant):
    sources = {
        "src/labelgrid/ledger/__init__.py": "",
        "src/labelgrid/ledger/migrations/__init__.py": "",
    }
    sources |= {"src/labelgrid/ledger/migrations/env.py": "", "src/labelgrid/ledger/grid.py": ""}
    covers = 'COVERS = ["labelgrid.ledger.migrations", "labelgrid.ledger.grid"]\n'
    assert faults(plant({**sources, "tests/e2e/test_road.py": covers})) == []


def test_a_covers_list_cannot_name_what_does_not_exist(plant):
    root = plant({"tests/e2e/test_road.py": 'COVERS = ["labelgrid.gone"]\n'})
    assert faults(root) == [
        "tests/e2e/test_road.py: COVERS names labelgrid.gone, which is not a module "
        "(use names such as labelgrid.select.strategies.partal)"
    ]


def test_a_package_file_needs_no_test(plant):
    assert (
        faults(plant({"src/labelgrid/__init__.py": "", "src/labelgrid/select/__init__.py": ""}))
        == []
    )
