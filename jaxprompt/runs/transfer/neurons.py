"""Neurons of prompts on their model: reading them, and scoring without some."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxprompt.config import Run
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.data.vocabulary.writing import mask_of
from jaxprompt.models.taps import neuron_layers, switch_off
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.prompts.prompt import Prompt, stack
from jaxprompt.report.text.table import table
from jaxprompt.runs.keep.output import check_output, write_json
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.frozen import Frozen, open_model
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.trained_on import check_prompts, own_model
from jaxprompt.screen.terminal import say, say_lines
from jaxprompt.sharding import make_mesh
from jaxprompt.transfer.named import NamedPrompts
from jaxprompt.transfer.neurons import drawn, most_active, read_neurons


def neurons_of(
    prompts: NamedPrompts,
    *,
    run: Run | None = None,
    another_backbone: bool = False,
) -> Float[np.ndarray, "prompts N F"]:
    """Loads the model that prompts were trained on, and reads their neurons.

    Args:
        prompts: The prompts.
        run: The run of one of them, which says where their model is; see
            `runs.ready.trained_on.own_model`.
        another_backbone: Allows a model that they were not trained on.

    Raises:
        ValueError: If they do not say of which model they are, or it is another.
        FileNotFoundError: If it is not there.
    """
    known = [one for one in prompts.provenances if one is not None]
    if len(known) < len(prompts.names):
        raise ValueError(
            "these prompts do not say of which model they are, so their neurons cannot "
            "be read: take them in by `jaxprompt import --backbone`"
        )
    first = known[0]
    # The model as it is: neurons need no less memory than its float weights.
    model = open_model(own_model(first, run))
    check_prompts(known, model.backbone, another_backbone=another_backbone)
    frozen = model.load(make_mesh(devices=jax.devices()[:1]))
    return _read(frozen, stack(prompts.prompts))


def _read(frozen: Frozen, bank: Prompt) -> Float[np.ndarray, "M N F"]:
    frame = frozen.vocabulary.frame
    return read_neurons(
        frozen.backbone,
        frozen.model,
        bank,
        mask_id=_mask_id(frozen.vocabulary),
        frame=((), ()) if frame is None else (frame.first, frame.last),
    )


def _mask_id(vocabulary: Vocabulary) -> int | None:
    if vocabulary.causal:
        return None
    try:
        (mask,) = vocabulary.encode(mask_of(vocabulary))
    except ValueError:  # It has none: the last soft token is read in its place.
        return None
    return mask


def score_without(
    run: Run,
    prompt_file: Path,
    *,
    share: float = 0.2,
    split: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> dict[str, Any]:
    """Scores a prompt with the neurons switched off that it switches on most.

    As many neurons that are drawn by chance, switched off in their place, stand beside
    it: only what lies below that is the prompt's own.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        share: Share of all neurons, over 0 and at most 1.
        split: Split to score; None for the run's own.
        output: Where to write the scores as JSON.
        overwrite: Whether `output` may exist.
        another_backbone: Allows a model that the prompt was not trained on.

    Returns:
        "whole", "without_active" and "without_random" -> score; "share" and "chance".

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    split = split or run.data.scored_split
    check_output(output, overwrite)
    most_active(np.zeros((1, 1), np.float32), share)  # Refuses a share that is none.
    prompt, provenance = load_prompt(prompt_file)
    job = prepare(
        run, splits=(split,), trained=[provenance], another_backbone=another_backbone
    )
    frozen, head = job.frozen, load_head(prompt_file)
    neurons = _read(frozen, prompt)[0]
    layers, width = neuron_layers(frozen.model)
    off = {
        "whole": np.zeros((layers, width), bool),
        "without_active": most_active(neurons, share),
        "without_random": drawn((layers, width), share, seed=run.seed),
    }
    found: dict[str, Any] = {"task": provenance.task, "split": split, "share": share}
    report, params = ScoreReport(job, split, prompt.length), frozen.join(prompt, head)
    for name, chosen in off.items():
        changed = {**params, "model": switch_off(frozen.model, chosen)}
        # `validate` scores the prompt alone, without the baselines.
        found[name] = report.validate(changed).scores[0]
    say(
        f"{provenance.task} {split}: {share:.0%} of {layers} x {width} neurons off; "
        f"{float(np.mean(neurons > 0)):.0%} are on"
    )
    lines = [[name.replace("_", " "), found[name]] for name in off]
    say_lines(table(["neurons", "score"], lines))
    if output is not None:
        write_json(output, found)
        say(f"wrote {output}")
    return found
