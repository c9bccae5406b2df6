"""What tests of entry points share: installed packages, as pip leaves them in a folder."""

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path, package: str, files: Mapping[str, str], groups: Mapping[str, Mapping[str, str]]
) -> None:
    """Put a package's modules and its metadata into a folder, from which Python imports.

    Args:
        folder: is on Python's path.
        package: the name of the distribution.
        files: the texts of modules by their paths.
        groups: the plug-ins by folder and name, such as "mine.strategy:build".
    """
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = []
    for group, plugins in groups.items():
        lines.append(f"[labelgrid.{group}]")
        for name, target in plugins.items():
            lines.append(f"{name} = {target}")
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
