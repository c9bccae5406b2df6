import pytest

from tools.apart import faults

OTHER = {"src/labelgrid/select/other.py": "", "src/labelgrid/nets/other.py": ""}


@pytest.mark.parametrize(
    "line",
    [
        "import labelgrid.select.other",
        "from labelgrid.select.other import f",
        "from labelgrid.select import other",
    ],
)
def test_a_plug_in_that_imports_another_of_its_folder_is_found(plant, line):
    root = plant({**OTHER, "src/labelgrid/select/one.py": f"x = 1\n{line}\n"})
    assert faults(root) == [
        "src/labelgrid/select/one.py:2: imports labelgrid.select.other, a plug-in of the same folder"
    ]


def test_the_folder_s_machinery_and_other_folders_may_be_imported(plant):
    lines = "from labelgrid.select.parts import f\nfrom labelgrid.nets.other import g\n"
    assert faults(plant({**OTHER, "src/labelgrid/select/one.py": lines, "src/labelgrid/select/parts.py": ""})) == []


def test_the_machinery_itself_is_no_plug_in(plant):
    assert faults(plant({**OTHER, "src/labelgrid/select/parts.py": "import labelgrid.select.other\n"})) == []
