"""What the repository's host and other programs read: the citation, the issue templates."""

import tomllib

import pytest
import yaml

from tools.source import ROOT

TEMPLATES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_citation_names_this_version_and_the_three_papers():
    assert CITATION["cff-version"] == "1.2.0"
    for key in ("version", "license"):
        assert CITATION[key] == PROJECT[key]
    assert CITATION["title"] == PROJECT["name"]
    families = [reference["authors"][0]["family-names"] for reference in CITATION["references"]]
    assert families == ["Durasov", "Hekimoglu", "Li"]


def test_the_page_on_citing_says_the_same():
    page = (ROOT / "docs/cite.md").read_text().replace("{PartAL}", "PartAL")
    assert f"version = {{{PROJECT['version']}}}" in page
    for reference in CITATION["references"]:
        assert reference["title"] in page
        names = (f"{who['family-names']}, {who['given-names']}" for who in reference["authors"])
        assert " and ".join(names) in page
        assert f"{{{reference['year']}}}" in page


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_issue_template_has_a_name_and_asks_for_something(path):
    template = yaml.safe_load(path.read_text())
    assert template["name"]
    assert template["description"]
    asked = [part for part in template["body"] if part["type"] != "markdown"]
    assert any(part.get("validations", {}).get("required") for part in asked)
    assert all(part["id"] and part["attributes"]["label"] for part in asked)


def test_there_are_templates_for_bugs_wishes_and_questions():
    assert [path.stem for path in TEMPLATES] == ["bug", "feature", "question"]


def test_the_decisions_are_listed_with_their_titles():
    folder = ROOT / "docs/decisions"
    rows = [line for line in (folder / "README.md").read_text().splitlines() if "](0" in line]
    expected = []
    for path in sorted(folder.glob("0*.md")):
        number, _, words = path.read_text().splitlines()[0].removeprefix("# ").partition(": ")
        expected.append(f"| [{number}]({path.name}) | {words} |")
    assert rows == expected
