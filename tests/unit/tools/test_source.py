from pathlib import Path

from tools.source import modules, modules_by_package, report, sections


def test_a_module_is_named_as_it_is_imported(plant):
    root = plant(
        {
            "src/labelgrid/select/__init__.py": "",
            "src/labelgrid/select/strategies/partal.py": "x = 1\n",
            "tools/a.py": "",
        }
    )
    assert [module.name for module in modules(root, "src", "tools")] == [
        "labelgrid.select",
        "labelgrid.select.strategies.partal",
        "tools.a",
    ]
    assert [module.path for module in modules(root, "tools")] == [Path("tools/a.py")]


def test_modules_are_grouped_by_the_packages_of_the_program(plant):
    root = plant(
        {
            "src/labelgrid/b.py": "",
            "src/labelgrid/select/strategies/partal.py": "",
            "src/labelgrid/select/parts.py": "",
            "tools/a.py": "",
        }
    )
    names = {}
    for package, files in modules_by_package(root).items():
        names[package] = [module.path.name for module in files]
    assert names == {"(root)": ["b.py"], "select": ["parts.py", "partal.py"]}


def test_a_folder_that_does_not_exist_has_no_modules(tmp_path):
    assert list(modules(tmp_path, "src")) == []


def test_a_comment_in_a_code_block_is_no_heading():
    page = "## fit\n```sh\n# not a heading\n```\n--epochs\n## score\nx\n"
    assert list(sections(page)) == ["fit", "score"]
    assert "--epochs" in sections(page)["fit"]


def test_a_section_ends_at_the_next_heading_of_its_depth():
    page = "## fit\na\n### more\nb\n## score\nc\n"
    assert sections(page) == {"fit": "a\n### more\nb\n", "more": "b\n", "score": "c\n"}


def test_a_report_without_faults_succeeds_and_one_with_faults_prints_them(capsys):
    assert report([]) == 0
    assert report(["one", "two"]) == 1
    assert capsys.readouterr().out == "one\ntwo\n"
