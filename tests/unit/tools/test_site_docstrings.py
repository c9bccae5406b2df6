import pytest
from griffe import DocstringSectionKind, Extensions, temporary_visited_module

from tools.site_docstrings import ExampleSections


@pytest.mark.parametrize("code", ["def f():\n", "class f:\n"])
def test_an_example_of_a_docstring_is_a_section_of_examples(code):
    docstring = '    """One.\n\n    Example:\n        >>> 1 + 1\n        2\n    """\n'
    with temporary_visited_module(
        code + docstring, extensions=Extensions(ExampleSections())
    ) as module:
        sections = module["f"].docstring.parse("google")
    assert [section.kind for section in sections] == [
        DocstringSectionKind.text,
        DocstringSectionKind.examples,
    ]


def test_other_docstrings_stay():
    code = 'def f():\n    """An Example: one."""\n\ndef g():\n    pass\n'
    with temporary_visited_module(code, extensions=Extensions(ExampleSections())) as module:
        assert module["f"].docstring.value == "An Example: one."
        assert module["g"].docstring is None
