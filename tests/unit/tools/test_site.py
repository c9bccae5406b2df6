import re

import pytest

from tools.site import faults
from tools.source import ROOT

CONFIG = """site_name: s
validation: { omitted_files: warn, unrecognized_links: warn, anchors: warn }
nav: [README.md]
"""


def test_a_site_whose_pages_and_links_are_there_passes(plant):
    assert faults(plant({"mkdocs.yml": CONFIG, "docs/README.md": "# A\n\n[a](#a)\n"})) == []


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"docs/README.md": "[a](gone.md)\n"}, "a link 'gone.md', but"),
        ({"docs/README.md": "[a](#gone)\n"}, "a link '#gone', but"),
        ({"docs/README.md": "# A\n", "docs/b.md": "# B\n"}, 'not included in the "nav"'),
        ({"docs/b.md": "# B\n"}, "'README.md' is included in the 'nav'"),
        ({"docs/README.md": "# A\n", "mkdocs.yml": f"{CONFIG}theme: gone\n"}, "theme"),
    ],
)
def test_what_mkdocs_warns_of_is_a_fault(plant, files, fault):
    assert fault in "\n".join(faults(plant({"mkdocs.yml": CONFIG, **files})))


def test_a_build_leaves_nothing_in_the_repository(plant):
    root = plant({"mkdocs.yml": CONFIG, "docs/README.md": "# A\n"})
    before = sorted(root.rglob("*"))
    assert faults(root) == []
    assert sorted(root.rglob("*")) == before


def test_the_site_asks_no_other_server_for_fonts_or_scripts():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in config
    assert not re.search(r"https?://", config)
    assert not re.search(r"analytics|social|privacy|offline", config)
