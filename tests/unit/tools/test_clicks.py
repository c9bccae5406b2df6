import pytest

from tools.clicks import faults


def test_pages_two_clicks_away_pass_through_pages_and_folders(plant):
    files = {
        "README.md": "[a](docs/a.md) [folder](docs/folder)\n",
        "docs/a.md": "[b](b.md#here) [notebook](c.ipynb) [elsewhere](https://a.org/docs/x.md)\n",
        "docs/b.md": "# Here\n",
        "docs/c.ipynb": "{}",
        "docs/folder/README.md": "[d](d.md)\n",
        "docs/folder/d.md": "[up](../a.md)\n",
    }
    assert faults(plant(files)) == []


@pytest.mark.parametrize("link", ["`[b](b.md)`", "[b](c.md)", "https://a.org/b.md"])
def test_a_page_that_no_link_leads_to_is_found(plant, link):
    root = plant({"README.md": "[a](docs/a.md)\n", "docs/a.md": link, "docs/b.md": "# B\n"})
    assert faults(root) == ["docs/b.md is more than 2 clicks from README.md"]


def test_a_page_three_clicks_away_is_found(plant):
    files = {"README.md": "[a](docs/a.md)\n", "docs/a.md": "[b](b.md)\n"}
    root = plant({**files, "docs/b.md": "[c](c.ipynb)\n", "docs/c.ipynb": "{}"})
    assert faults(root) == ["docs/c.ipynb is more than 2 clicks from README.md"]
