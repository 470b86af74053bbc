"""Training on windows: each of a row that is read in several becomes a row."""

from jaxprompt.data.read.sources import Features, SplitRows
from jaxprompt.data.tasks.task import Task


def in_windows(task: Task, split: str, length: int) -> Task:
    """Makes a row of each window of a split; other splits stay as they are.

    Args:
        task: The task.
        split: The split that training reads.
        length: Tokens of text that the model reads at once.

    Returns:
        The task itself, where it reads every row in one piece.

    Raises:
        ValueError: If the length has no room for windows.
    """
    if task.windows is None:
        return task
    make, rows = task.windows, task.source.rows(split)
    parts = make(rows, length)
    owners = [number for number, part in enumerate(parts) for _ in part]

    def read() -> list[Features]:
        return [window for part in parts for window in part]

    def places() -> list[str]:
        return task.source.places(split, owners)

    return task.with_rows({split: SplitRows(read, places=places)})
