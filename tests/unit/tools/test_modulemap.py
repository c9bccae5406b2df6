from tools import modulemap

FILES = {
    "src/labelgrid/__init__.py": '"""All."""\n',
    "src/labelgrid/nets/__init__.py": '"""Networks."""\n',
    "src/labelgrid/nets/pad.py": '"""What is PAD?\n\nMore.\n"""\n',
    "src/labelgrid/select/one.py": '"""Picks one."""\n',
    "src/labelgrid/labels/migrations/0001.py": "",
}


def test_modules_are_listed_by_folder_with_the_first_lines_of_their_docstrings(plant):
    root = plant(FILES)
    assert modulemap.faults(root) == []
    assert modulemap.module_list(root).splitlines() == [
        *("labelgrid/: All.", "", "nets/: Networks.", "  nets/pad.py: What is PAD?"),
        "  select/one.py: Picks one.",
    ]
    assert modulemap.module_list(root, "nets").splitlines() == [
        "nets/: Networks.",
        "  nets/pad.py: What is PAD?",
    ]


def test_a_module_whose_docstring_has_no_first_line_is_found(plant):
    wrong = {"src/labelgrid/nets/bare.py": "x = 1\n", "src/labelgrid/nets/empty.py": '"""\n"""\n'}
    assert modulemap.faults(plant({**FILES, **wrong})) == [
        "src/labelgrid/nets/bare.py: the module has no docstring",
        "src/labelgrid/nets/empty.py: the module has no docstring",
    ]


def test_a_folder_with_more_modules_than_a_topic_has_is_found(plant):
    few = {f"src/labelgrid/nets/n{number}.py": '"""A net."""\n' for number in range(39)}
    assert modulemap.faults(plant({**FILES, **few})) == []
    many = {**few, "src/labelgrid/nets/more.py": '"""One more."""\n'}
    assert modulemap.faults(plant({**FILES, **many})) == [
        "src/labelgrid/nets: 41 modules; more than 40 are several topics"
    ]
