"""Commands between backticks are set as code; everything is escaped."""

import pytest

from labelgrid.report.html_templates import with_commands


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("No <b> here.", "No &lt;b&gt; here."),
        ("`a` then `<b>`", "<code>a</code> then <code>&lt;b&gt;</code>"),
        ("{braces} and `{}`", "{braces} and <code>{}</code>"),
    ],
)
def test_commands_are_code_and_all_is_escaped(text: str, html: str) -> None:
    assert with_commands(text) == html
