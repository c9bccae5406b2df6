"""Lets mkdocstrings read the sections `Example:` of docstrings, which Griffe knows as `Examples:` alone."""

from typing import Any

from griffe import Extension, Object


class ExampleSections(Extension):
    """Renames the section while a docstring is loaded."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rename it in the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace(
                "Example:\n    >>>", "Examples:\n    >>>"
            )
