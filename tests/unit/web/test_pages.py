"""Templates escape what they show, and need all values that they name."""

import jinja2
import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.web.pages import render, templates


def test_text_is_escaped_and_the_status_is_that_of_the_answer():
    answer = render(
        "error.html.j2", back="/", status=404, error=LabelgridError("<b>&", where="'\"")
    )
    assert answer.status_code == 404
    assert b"&lt;b&gt;&amp;" in answer.body and b"<code>&#39;&#34;</code>" in answer.body


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("overview.html.j2")


def test_a_moment_is_read_by_people_and_programs_and_escaped():
    moment = templates().filters["moment"]
    text = "2026-11-09T16:31:30+00:00"
    assert moment(text) == f'<time datetime="{text}">9 November 2026, 16:31 UTC</time>'
    assert "<b>" not in moment("<b>")
