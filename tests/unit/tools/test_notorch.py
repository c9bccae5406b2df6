from tools.notorch import command_faults, faults

PACKAGE = {"src/labelgrid/__init__.py": "", "src/labelgrid/select/__init__.py": ""}
CLI = """
import sys
def main():
    command = sys.argv[1]
    {body}
"""


def test_a_light_module_that_loads_torch_is_found(plant):
    root = plant(
        {
            **PACKAGE,
            "src/labelgrid/select/bad.py": "import torch\n",
            "src/labelgrid/select/fine.py": "",
        }
    )
    assert faults(root) == ["labelgrid.select.bad loads torch"]


def test_a_light_module_that_loads_pyarrow_is_found(plant):
    root = plant({**PACKAGE, "src/labelgrid/select/bad.py": "import pyarrow.parquet\n"})
    assert faults(root) == ["labelgrid.select.bad loads pyarrow"]


def test_loading_torch_indirectly_or_in_a_try_is_found(plant):
    root = plant(
        {
            **PACKAGE,
            "src/labelgrid/heavy.py": "import torch.nn\n",
            "src/labelgrid/select/a.py": "import labelgrid.heavy\n",
            "src/labelgrid/select/b.py": "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
        }
    )
    assert faults(root) == ["labelgrid.select.a loads torch", "labelgrid.select.b loads torch"]


def test_a_light_module_that_cannot_be_imported_is_a_fault(plant):
    (found,) = faults(plant({**PACKAGE, "src/labelgrid/select/broken.py": "1 / 0\n"}))
    assert (
        found == "labelgrid.select.broken cannot be imported: ZeroDivisionError('division by zero')"
    )


def test_modules_elsewhere_may_load_torch(plant):
    assert faults(plant({**PACKAGE, "src/labelgrid/train/__init__.py": "import torch\n"})) == []


def test_without_a_command_line_there_are_no_commands_to_ask(plant):
    assert command_faults(plant(PACKAGE)) == []


def test_the_public_face_and_the_recipes_are_light(plant):
    files = {
        "src/labelgrid/recipes/a.py": "import torch\n",
        "src/labelgrid/api/project.py": "import labelgrid.recipes.a\n",
    }
    assert faults(plant({**PACKAGE, **files})) == [
        "labelgrid.api.project loads torch",
        "labelgrid.recipes.a loads torch",
    ]


def test_a_light_command_that_loads_torch_is_found_and_a_heavy_one_may(plant):
    body = 'if command in ("status", "fit"):\n        import torch'
    root = plant({**PACKAGE, "src/labelgrid/cli.py": CLI.format(body=body), "src/torch.py": ""})
    assert command_faults(root) == [
        "`labelgrid status project` loads torch",
        "`labelgrid status project --json` loads torch",
    ]


def test_a_light_command_that_fails_is_a_fault(plant):
    body = 'if command == "list":\n        sys.exit("no plug-ins")'
    root = plant({**PACKAGE, "src/labelgrid/cli/__init__.py": CLI.format(body=body)})
    assert command_faults(root) == ["`labelgrid list` exits with 1: no plug-ins"]
