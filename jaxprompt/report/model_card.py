"""A pre-trained model's README.md: how it was made, what it measures, its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from jaxprompt.report.table import table

PICTURE = "losses.png"
"""The curves, beside the card."""

# Markdown, not HTML: escaping would show in code and tables.
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxprompt.report"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def model_card(
    result: Mapping[str, Any],
    *,
    name: str,
    architecture: Mapping[str, object],
    config: str,
    seed: int,
    start: str | None = None,
    license: str = "unknown",
    languages: Sequence[str] = (),
) -> str:
    """Writes a model card for the Hugging Face Hub.

    Args:
        result: Content of the run's result.json: "parameters" (a count), "steps",
            "seconds", "text" (file -> SHA-256), and "objectives" (name -> "loss",
            "other_input_loss" and "unigram_entropy", in nats per target token).
        name: What the model is called.
        architecture: Sizes and switches of the T5: name -> value.
        config: The run as gin text.
        seed: Of the weights, the order of the data and the dropout.
        start: The model whose weights training started from; None for random ones.
        license: Identifier of the Hub for the licence of the weights.
        languages: Codes of the text's languages, as "en".

    Returns:
        Markdown behind the YAML header that the Hub reads; `PICTURE` is to lie beside.
    """
    losses = [
        [name.replace("_", " "), *(f"{nats:.3f}" for nats in _nats(measured))]
        for name, measured in result["objectives"].items()
    ]
    return _TEMPLATES.get_template("model_card.md.j2").render(
        result=result,
        name=name,
        seed=seed,
        start=start,
        license=license,
        languages=languages,
        picture=PICTURE,
        losses=table(["objective", "own input", "other input", "unigram"], losses),
        architecture=table(
            ["size", "value"],
            [[key, str(value)] for key, value in architecture.items()],
        ),
        texts=table(["file", "SHA-256"], [[*item] for item in result["text"].items()]),
        config=config.strip(),
    )


def _nats(measured: Mapping[str, float]) -> list[float]:
    fields = ("loss", "other_input_loss", "unigram_entropy")
    return [measured[field] for field in fields]
