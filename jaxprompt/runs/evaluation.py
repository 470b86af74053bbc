"""Scoring a prompt file on its task."""

from pathlib import Path
from typing import Any

from jaxprompt.config import Run
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs.output import check_output, write_json
from jaxprompt.runs.prepare import prepare
from jaxprompt.runs.results import make_report, result_table


def evaluate(
    run: Run,
    prompt_file: Path,
    *,
    split: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Scores a prompt file on its task, beside the majority class and no prompt.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        split: Split to score; None for the one that the run was scored on.
        output: Where to write the scores as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        The scores, as in result.json.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    split = split or run.data.scored_split
    check_output(output, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    ready = prepare(
        run, splits=(split,), trained=provenance, another_backbone=another_backbone
    )
    result, _ = make_report(ready, split, prompt.length).measure(ready.join(prompt))
    print(result_table(result))
    if output is not None:
        write_json(output, result)
        print(f"wrote {output}")
    return result
