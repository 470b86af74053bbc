"""The card of prompts that are pushed: facts of their run, words of a model at hand."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.config import Run
from jaxprompt.config.answering import answering_run
from jaxprompt.interop import hub
from jaxprompt.models.load import find_checkpoint, is_here, open_backbone
from jaxprompt.models.weights.checkpoint import Checkpoint, read_table
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance, check_backbone
from jaxprompt.report.pages.prompt_card import CardPrompt, CardRun, prompt_card
from jaxprompt.report.reading.nearest import SoftToken
from jaxprompt.report.reading.prompt import read_prompt

NEIGHBOURS = 5
"""Words shown for each soft token."""


@dataclasses.dataclass(frozen=True)
class SharedPrompt:
    """One prompt on its way to the Hub.

    Attributes:
        path: Its file here.
        file: Its file in the repository.
        adapter: Folder of the same for PEFT there; empty for the repository itself.
        prompt: A bank of one.
        provenance: Where it comes from.
        member: What result.json says of it; None if there is none.
    """

    path: Path
    file: str
    adapter: str
    prompt: Prompt
    provenance: Provenance
    member: Mapping[str, Any] | None


def make_card(
    repository: str,
    sources: Sequence[SharedPrompt],
    result: Mapping[str, Any] | None,
    runs: Mapping[Path, Run | None],
) -> str:
    """Writes the card: README.md of the repository.

    Args:
        repository: "name/repo" on the Hub.
        sources: The prompts, of one model.
        result: Content of the run's result.json; None if there is none.
        runs: Of each prompt's path, what its own configuration says; None if it brings
            none.

    Returns:
        Markdown. It has the nearest words only where the model is at hand: bundled, in
        a folder, or in the Hub's cache. Nothing is downloaded.
    """
    first = sources[0]
    checkpoint = _find_model(runs[first.path], first.provenance)
    of_config: dict[str, list[SharedPrompt]] = {}
    for source in sources:
        of_config.setdefault(source.provenance.config, []).append(source)
    tokens = [_read_words(checkpoint, source.prompt) for source in sources]
    return prompt_card(
        repository,
        [
            CardPrompt(
                file=source.file,
                adapter=source.adapter,
                provenance=source.provenance,
                member=source.member,
                tokens=near,
            )
            for source, near in zip(sources, tokens, strict=True)
        ],
        result=result,
        runs=[
            _describe(runs[alike[0].path], alike, result)
            for alike in of_config.values()
        ],
        adds_bos=_adds_bos(first.provenance),
    )


def _adds_bos(said: Provenance) -> bool:
    """Tells whether its texts begin as the model's tokenizer begins them."""
    return bool(said.answering) and answering_run(said.answering, "prompt").adds_bos


def _describe(
    run: Run | None, sources: Sequence[SharedPrompt], result: Mapping[str, Any] | None
) -> CardRun:
    """Tells the configuration that prompts share."""
    files = [source.file for source in sources]
    if run is None:
        return CardRun(files=files)
    return CardRun(
        files=files,
        data=_data(run, sources),
        training=_training(run, result),
        chosen_on=run.chosen_on,
        config=sources[0].provenance.config,
    )


def _find_model(run: Run | None, provenance: Provenance) -> Checkpoint | None:
    """Finds the prompt's own model, if it is at hand: nothing is downloaded."""
    name = (run.model.name if run is not None else None) or provenance.backbone
    place: str | Path | None = name
    if not is_here(name):
        place = hub.find_cached(provenance.backbone, provenance.revision)
    if place is None:
        return None
    try:
        checkpoint = find_checkpoint(
            place, vocabulary=None if run is None else run.model.vocabulary
        )
        check_backbone(provenance, open_backbone(checkpoint))
    except (ValueError, OSError):
        # Cut short, another model of this name, or no vocabulary: then no words.
        return None
    return checkpoint


def _read_words(checkpoint: Checkpoint | None, prompt: Prompt) -> Sequence[SoftToken]:
    if checkpoint is None or checkpoint.vocabulary is None:
        return ()
    from jaxprompt.runs.ready.frozen import vocabulary_of

    table = np.concatenate([*read_table(checkpoint)])
    vocabulary = vocabulary_of(checkpoint)
    return read_prompt(table, prompt, vocabulary, NEIGHBOURS).tokens


def _data(run: Run, sources: Sequence[SharedPrompt]) -> dict[str, str]:
    shared = {source.provenance.task for source in sources}
    facts = {
        task.label: task.told
        for task in run.data.tasks
        if task.label in shared and task.told
    }
    data = run.data
    return {
        **facts,
        "splits": _train_rows(run)
        + (f"{run.chosen_on} to choose the best step, " if run.chosen_on else "")
        + f"{data.scored_split} for the scores",
        "lengths": f"texts of up to {data.input_length} tokens, answers of up to "
        f"{data.target_length}",
    }


def _train_rows(run: Run) -> str:
    data = run.data
    if data.few_rows is None:
        return f"{data.train_split} to train, "
    each = data.shots_per_class
    count = f"{each} of each label" if each else f"{data.train_examples}"
    return (
        f"few rows of {data.train_split}, drawn by the seed: {count} to train, and as "
        "many others to choose by; "
    )


def _training(run: Run, result: Mapping[str, Any] | None) -> dict[str, str]:
    optimizer = run.optimizer
    facts = {
        "method": "prompt tuning: the prompt alone trains",
        "initialisation": run.prompt.init,
        "optimizer": f"{optimizer.kind}, learning rate {optimizer.learning_rate}, "
        f"schedule {optimizer.schedule}, weight decay {optimizer.weight_decay}",
        "steps": f"{run.pace.steps} at most, validated every {run.pace.evaluate_every}"
        if run.chosen_on
        else f"{run.pace.steps}, none validated",
        "batch": f"{run.batch_size} rows",
        "numbers": run.model.dtype,
        "scored by": run.evaluation.method,
    }
    if result is not None and "seconds" in result:
        facts["time"] = f"{result['seconds']:,.0f} seconds of {run.timed}"
    return facts
