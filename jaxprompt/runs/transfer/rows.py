"""Writing the rows of a published data set as JSON lines, for a task of one's own."""

from pathlib import Path

from jaxprompt.data.read.published import RELEASES, read_published, to_jsonl
from jaxprompt.interop.folder import new_folder
from jaxprompt.runs.keep.output import check_output
from jaxprompt.screen.terminal import say


def write_rows(
    name: str, folder: Path, output: Path, *, overwrite: bool = False
) -> dict[str, int]:
    """Reads a data set in the layout of its release, and writes a file for each split.

    Args:
        name: One of `data.read.published.RELEASES`.
        folder: The folder of its files.
        output: The folder to make, of "train.jsonl" and so on.
        overwrite: Whether it may exist, with these files alone.

    Returns:
        Split -> rows.

    Raises:
        ValueError: If the name is unknown, a row is malformed, or `output` exists.
        FileNotFoundError: If its files are not there.
    """
    if output.exists():
        check_output(output, overwrite, folder=True)
    splits = read_published(name, folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(output, [f"{split}.jsonl" for split in splits]) as scratch:
        for split, rows in splits.items():
            (scratch / f"{split}.jsonl").write_bytes(to_jsonl(rows).encode())
    counts = {split: len(rows) for split, rows in splits.items()}
    told = ", ".join(f"{count} of {split}" for split, count in counts.items())
    fields = ", ".join(next(iter(splits.values()))[0])
    say(f"wrote {output}: {told} ({RELEASES[name].category}; fields {fields})")
    return counts
