"""Adds the option `--trust` to commands: the modules whose plug-ins may run."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer


def _trust(prefixes: list[str] | None) -> list[str] | None:
    from labelgrid.trusted import trust

    trust(prefixes or [])
    return prefixes


Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", callback=_trust, is_eager=True, help="Run plug-ins from this module or package. Repeatable."
    ),
]


def with_trust(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with a further option, `--trust`."""

    @wraps(command)
    def run(*, trust: Any = None, **arguments: Any) -> Any:
        return command(**arguments)

    shown, hints = signature(command), dict(command.__annotations__)
    added = Parameter("trust", Parameter.KEYWORD_ONLY, default=None, annotation=Trust)
    run.__signature__ = shown.replace(parameters=[*shown.parameters.values(), added])  # type: ignore[attr-defined]
    result = {"return": hints.pop("return")} if "return" in hints else {}
    run.__annotations__ = {**hints, "trust": Trust, **result}
    return run
