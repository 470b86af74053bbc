"""A progress bar over examples: how many, how fast, how long still."""

import contextlib
from collections.abc import Callable, Iterator

from tqdm import tqdm


@contextlib.contextmanager
def example_bar(
    total: int, description: str, *, leave: bool = True
) -> Iterator[Callable[[int], None]]:
    """Draws a bar on standard error while its block runs.

    Args:
        total: Examples to come.
        description: Text before the bar.
        leave: Whether the full bar stays on the screen.

    Yields:
        A function to call with the number of examples done since the last call.
    """
    with tqdm(
        total=total, desc=description, unit="ex", leave=leave, dynamic_ncols=True
    ) as bar:

        def advance(examples: int) -> None:
            bar.update(examples)

        yield advance
