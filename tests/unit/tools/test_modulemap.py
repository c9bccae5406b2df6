from tools import modulemap

FILES = {
    "src/labelgrid/__init__.py": '"""All."""\n',
    "src/labelgrid/nets/__init__.py": '"""Networks."""\n',
    "src/labelgrid/nets/pad.py": '"""What is PAD?\n\nMore.\n"""\n',
}
PAGE = f"# A\n{modulemap.BEGIN}\n{modulemap.END}\nrest\n"


def test_an_old_list_is_found_and_a_written_one_is_not(plant):
    root = plant({**FILES, "ARCHITECTURE.md": PAGE})
    assert modulemap.faults(root) == [
        "the list of modules in ARCHITECTURE.md is out of date: run `.venv/bin/python -m tools.modulemap --write`"
    ]
    modulemap.write(root)
    assert modulemap.faults(root) == []
    text = (root / "ARCHITECTURE.md").read_text()
    assert "- `nets/pad.py`: What is PAD?" in text and text.endswith("\nrest\n")


def test_a_page_without_a_place_for_the_list_is_found(plant):
    assert (
        "has no list of modules"
        in modulemap.faults(plant({**FILES, "ARCHITECTURE.md": "# A\n"}))[0]
    )
