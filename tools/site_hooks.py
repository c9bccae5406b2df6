"""What mkdocs.yml needs beside its plug-ins: pages from outside docs/, their links, and notebooks as pages.

Pages are written for the repository: a link leads to a file of it. In the site it leads to that
file's page; where the site has none, the path is shown instead.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: The pages of the repository's top folder, by their places in the site.
OUTSIDE = {
    "introduction.md": "README.md",
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "reporting.md": "SECURITY.md",
}
#: Blocks and pieces of code, which stay as they are, and links.
LINK = re.compile(
    r"^ *```.*?^ *```|(?P<tick>`+).+?(?P=tick)"
    r"|(?P<start>!?\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\()(?P<link>[^)\s]+)\)",
    re.MULTILINE | re.DOTALL,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and a page for each notebook in place of the file."""
    root = _root(config)
    for path, name in OUTSIDE.items():
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=text))
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            page = notebook_page(json.loads(file.content_string))
            files.append(File.generated(config, _page_uri(file.src_uri), content=page))
            files.remove(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page, which lead to files of the repository, into links of the site."""
    uri = page.file.src_uri
    home = PurePosixPath(OUTSIDE.get(uri, f"docs/{uri}"))
    return LINK.sub(partial(_in_site, uri, home.parent, files), markdown)


def _in_site(uri: str, folder: PurePosixPath, files: Files, match: re.Match[str]) -> str:
    """A link as the site has it; code, and links to other sites or within the page, stay."""
    link = match["link"]
    if not link or re.match(r"\w[\w+.-]*:|#", link):
        return match[0]
    name, mark, anchor = link.partition("#")
    path = os.path.normpath(folder / name)
    target = _site_uri(path, files)
    if target:
        way = os.path.relpath(target, PurePosixPath(uri).parent)
        return f"{match['start']}{way}{mark}{anchor})"
    return match["text"] if path in match["text"] else f"{match['text']} (`{path}`)"


def _site_uri(path: str, files: Files) -> str:
    """Where the site has a file or folder of the repository; "" where it does not."""
    outside = {name: uri for uri, name in OUTSIDE.items()}
    inside = _page_uri(path.removeprefix("docs/")) if path.startswith("docs/") else ""
    for uri in (outside.get(path, inside), f"{inside}/README.md"):
        if files.get_file_from_path(uri):
            return uri
    return ""


def _page_uri(uri: str) -> str:
    return f"{uri.removesuffix('.ipynb')}.md" if uri.endswith(".ipynb") else uri


def notebook_page(notebook: Mapping[str, Any]) -> str:
    r"""A notebook as Markdown: its text, its code, and below each cell what it printed or drew.

    Example:
        >>> cell = {"cell_type": "code", "source": ["1 + 1"], "outputs": []}
        >>> notebook_page({"cells": [{"cell_type": "markdown", "source": ["# A"]}, cell]})
        '# A\n\n```python\n1 + 1\n```\n'
    """
    return "\n\n".join(part for cell in notebook["cells"] for part in _cell_parts(cell)) + "\n"


def _cell_parts(cell: Mapping[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return [source]
    return [f"```python\n{source}\n```", *(_output_text(output) for output in cell["outputs"])]


def _output_text(output: Mapping[str, Any]) -> str:
    """A picture, or the text of an output."""
    data = output.get("data", {})
    if "image/png" in data:
        return f"![The picture that the cell draws](data:image/png;base64,{''.join(data['image/png']).strip()})"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```"


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
