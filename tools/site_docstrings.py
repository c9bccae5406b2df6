"""Lets mkdocstrings read the sections `Example:` of docstrings, which Griffe knows as `Examples:` alone.

The fields of requests are shown as attributes: a base class makes their constructors.
"""

from typing import Any

from griffe import Extension, Object

#: Where they are.
REQUESTS = ("labelgrid.api.requests.", "labelgrid.api.study.")


class ExampleSections(Extension):
    """Renames the sections while a docstring is loaded."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rename them in the docstring of a module, class, function or attribute."""
        if obj.docstring:
            text = obj.docstring.value.replace("Example:\n    >>>", "Examples:\n    >>>")
            if obj.path.startswith(REQUESTS) and obj.is_class:
                text = text.replace("Args:\n", "Attributes:\n")
            obj.docstring.value = text
