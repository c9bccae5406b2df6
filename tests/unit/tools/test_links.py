import pytest

from tools.links import anchors, faults

OTHER = "# One two\n\n## `key` = 3\n\n```sh\n# no heading\n```\n"


@pytest.mark.parametrize(
    "link",
    [
        "other.md",
        "other.md#one-two",
        "other.md#key--3",
        "../README.md",
        "#here",
        "../docs",
        "https://a.org/x#y",
        "m:a",
    ],
)
def test_a_link_to_a_file_or_a_heading_passes(plant, link):
    page = f"# Here\n\n[a]({link}) ![b](<{link}>)\n"
    assert faults(plant({"README.md": "# A\n", "docs/page.md": page, "docs/other.md": OTHER})) == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("gone.md", "'gone.md' leads to no file"),
        ("other.md#one", "'other.md#one' leads to no heading of docs/other.md"),
        ("other.md#no-heading", "'other.md#no-heading' leads to no heading of docs/other.md"),
        ("#one-two", "'#one-two' leads to no heading of docs/page.md"),
        ("../docs#a", "'../docs#a' leads to no heading of docs"),
        ("../../a.md", "'../../a.md' leads out of the repository"),
        ("pictures/a%20b.png", "'pictures/a%20b.png' leads to no file"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(plant, link, fault):
    root = plant({"docs/page.md": f"# Here\n\n[a]({link})\n", "docs/other.md": OTHER})
    assert faults(root) == [f"docs/page.md: {fault}"]


def test_links_in_code_are_no_links(plant):
    assert faults(plant({"docs/page.md": "`[a](gone.md)`\n\n```text\n[a](gone.md)\n```\n"})) == []


def test_a_page_that_the_code_names_must_be_there(plant):
    files = {
        "src/a.py": "# docs/page.md#here, docs/gone.md\n",
        "src/b/c.toml": "# docs/page.md#there\n",
    }
    root = plant({**files, "docs/page.md": "# Here\n"})
    assert faults(root) == [
        "src/a.py: 'docs/gone.md' leads to no file",
        "src/b/c.toml: 'docs/page.md#there' leads to no heading of docs/page.md",
    ]


def test_headings_of_the_same_words_are_numbered():
    assert anchors("# A\n## A\n### A\n") == {"a", "a-1", "a-2"}
