"""What comes with the package: 'bundled:nano' is a folder of the installation."""

from pathlib import Path

PREFIX = "bundled:"
FOLDER = Path(__file__).resolve().with_suffix("")
"""The data lies in a folder beside this file, with this file's name."""


def is_bundled(name: str | Path) -> bool:
    """Whether a name is that of something bundled."""
    return str(name).startswith(PREFIX)


def resolve(name: str | Path) -> str:
    """Turns the name of something bundled into its path; leaves other names alone.

    Args:
        name: Anything a user may give: "bundled:mini/SST-2", a path, a Hub name.

    Returns:
        The path of a bundled folder or file, else the name as it was.

    Raises:
        FileNotFoundError: If nothing of this name is bundled; lists what is.
    """
    name = str(name)
    if not is_bundled(name):
        return name
    found = (FOLDER / name.removeprefix(PREFIX)).resolve()
    if FOLDER not in found.parents or not found.exists():
        known = sorted(PREFIX + path.name for path in FOLDER.iterdir())
        raise FileNotFoundError(
            f"nothing bundled is called {name!r}: there are {', '.join(known)}"
        )
    return str(found)
