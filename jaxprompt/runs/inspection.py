"""Telling where a prompt file comes from, and what its soft tokens are near."""

import dataclasses
from pathlib import Path

from jaxprompt.config import Run
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.models.backbone import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.prompts.file import check_backbone, load_prompt
from jaxprompt.report.nearest import describe_prompt, mean_norm
from jaxprompt.report.table import table
from jaxprompt.runs.prepare import vocabulary_of


def inspect(
    run: Run,
    prompt_file: Path,
    *,
    neighbours: int = 5,
    another_backbone: bool = False,
) -> None:
    """Prints where a prompt comes from, and the words that each soft token is near.

    Args:
        run: The model; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        neighbours: Words for each soft token, by cosine.
        another_backbone: Allows a model that the prompt was not trained on.

    Raises:
        ValueError: If the model does not fit.
        FileNotFoundError: If a file is missing.
    """
    prompt, provenance = load_prompt(prompt_file)
    facts = dataclasses.asdict(provenance)
    del facts["config"]
    facts["versions"] = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    print(table(["field", "value"], [[k, str(v)] for k, v in facts.items()]) + "\n")

    checkpoint = find_checkpoint(
        run.model.name or provenance.backbone,
        revision=run.model.revision,
        vocabulary=run.model.vocabulary,
    )
    vocabulary = load_vocabulary(vocabulary_of(checkpoint))
    backbone = open_backbone(checkpoint)
    check_backbone(provenance, backbone, override=another_backbone)
    model = read_params(checkpoint, backbone.dtype, None)
    frozen = backbone.table(model)
    tokens = describe_prompt(frozen, prompt, vocabulary.decode, neighbours)
    rows = [[str(place), t.norm, str(t)] for place, t in enumerate(tokens)]
    print(table(["soft token", "norm", "nearest words (cosine)"], rows))
    mean = sum(token.norm for token in tokens) / len(tokens)
    print(f"\nmean norm {mean:.1f}; of the vocabulary's rows {mean_norm(frozen):.1f}")
