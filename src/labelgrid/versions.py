"""Reads the versions of the packages that results depend on, without loading them."""

from importlib.metadata import PackageNotFoundError, version

from labelgrid import __version__


def installed_versions() -> dict[str, str]:
    """The versions of labelgrid and torch.

    Example:
        >>> sorted(installed_versions())
        ['labelgrid', 'torch']
    """
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    return {"labelgrid": __version__, "torch": torch}
