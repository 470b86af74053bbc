"""A progress bar over examples: how many, how fast, how long still."""

import contextlib
from collections.abc import Callable, Iterator

from jaxprompt.screen.progress_bar import progress_bar


@contextlib.contextmanager
def example_bar(
    total: int | None, description: str, *, leave: bool = True
) -> Iterator[Callable[[int, float], None]]:
    """Draws a bar on standard error while its block runs.

    Args:
        total: Examples to come; None where that is not known.
        description: Text before the bar.
        leave: Whether the full bar stays on the screen.

    Yields:
        A function to call after each batch with the number of its examples, and the
        share of its source tokens that is padding, whose mean the bar shows.
    """
    paddings: list[float] = []
    with progress_bar(description, total=total, leave=leave) as bar:

        def advance(examples: int, padding: float) -> None:
            paddings.append(padding)
            mean = sum(paddings) / len(paddings)
            bar.set_postfix(padding=f"{mean:.0%}", refresh=False)
            bar.update(examples)

        yield advance
