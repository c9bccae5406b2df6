import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.site_hooks import OUTSIDE, notebook_page
from tools.source import ROOT

CONFIG = f"""site_name: s
use_directory_urls: false
plugins: []
hooks: ["{ROOT / "tools/site_hooks.py"}"]
"""
CELL = {"cell_type": "code", "source": ["print(1)\n", "2"]}
PICTURE = {"output_type": "display_data", "data": {"image/png": "aGk=\n", "text/plain": ["<F>"]}}
#: A page, a link on it, and where the link leads in the site.
LINKS = (
    ("docs/a/b.md", "../../README.md", "../introduction.html"),
    ("docs/a/b.md", "../../README.md#x-y", "../introduction.html#x-y"),
    ("docs/a/b.md", "../c", "../c/index.html"),
    ("docs/a/b.md", "../c/d.ipynb", "../c/d.html"),
    ("docs/a/b.md", "https://a.org/README.md", "https://a.org/README.md"),
    ("README.md", "docs/a/b.md", "a/b.html"),
    ("README.md", "CHANGELOG.md", "changelog.html"),
)
#: Links to what is no page, and code, with the HTML of them.
OTHERS = (
    ("[the loop](../examples/a.py)", "the loop (<code>examples/a.py</code>)"),
    ("[`examples/a.py`](../examples/a.py)", "<code>examples/a.py</code>"),
    ("`[a](../examples/a.py)`", "<code>[a](../examples/a.py)</code>"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built site of a few pages with all these links."""
    root = tmp_path_factory.mktemp("repository")
    text = {"cell_type": "markdown", "source": ["# D"]}
    others = "\n\n".join(f"see {written}!" for written, _ in OTHERS)
    files = dict.fromkeys(OUTSIDE.values(), "# X y\n") | {
        "mkdocs.yml": CONFIG,
        "docs/README.md": f"# Home\n\n{others}\n",
        "docs/a/b.md": "# B\n",
        "docs/c/README.md": "# C\n",
        "docs/c/d.ipynb": json.dumps({"cells": [text]}),
    }
    for number, (page, link, _) in enumerate(LINKS):
        files[page] += f"\n[number {number}.]({link})\n"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=root, check=True)
    return root / "site"


@pytest.mark.parametrize("number", range(len(LINKS)))
def test_a_link_of_the_repository_leads_to_the_page_of_the_site(site: Path, number: int) -> None:
    page, _, place = LINKS[number]
    html = (site / ("introduction.html" if page == "README.md" else "a/b.html")).read_text()
    assert re.findall(rf'href="([^"]+)">number {number}\.<', html) == [place]


@pytest.mark.parametrize(("written", "shown"), OTHERS)
def test_where_the_site_has_no_page_the_path_is_shown_and_code_stays(
    site: Path, written: str, shown: str
) -> None:
    assert f"<p>see {shown}!</p>" in (site / "index.html").read_text()


def test_a_notebook_is_a_page_with_its_code_and_what_it_printed_or_drew() -> None:
    said = {"output_type": "stream", "text": ["1\n"]}
    value = {"output_type": "execute_result", "data": {"text/plain": ["2"]}}
    text = {"cell_type": "markdown", "source": ["# A\n", "\n", "b"]}
    page = notebook_page({"cells": [text, {**CELL, "outputs": [said, value, PICTURE]}]})
    assert page.split("\n\n") == [
        *("# A", "b", "```python\nprint(1)\n2\n```", "```text\n1\n```", "```text\n2\n```"),
        "![The picture that the cell draws](data:image/png;base64,aGk=)\n",
    ]
