"""A pre-trained model's README.md: how it was made, what it measures, its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxprompt.report.text.markdown import fenced, markdown_table, render_markdown

PICTURE = "losses.png"
"""The curves, beside the card."""


def model_card(
    result: Mapping[str, Any],
    *,
    name: str,
    architecture: Mapping[str, object],
    config: str,
    seed: int,
    family: str,
    model_type: str,
    model_class: str,
    causal: bool,
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
        architecture: Sizes and switches of the model: name -> value.
        config: The run as gin text.
        seed: Of the weights, the order of the data and the dropout.
        family: What its family is called, as "T5".
        model_type: The same in config.json, as "t5".
        model_class: The class of transformers that it is.
        causal: Whether it has a decoder only.
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
    return render_markdown(
        "model_card.md.j2",
        result=result,
        name=name,
        seed=seed,
        family=family,
        model_type=model_type,
        model_class=model_class,
        causal=causal,
        start=start,
        license=license,
        languages=languages,
        picture=PICTURE,
        losses=markdown_table(
            ["objective", "own input", "other input", "unigram"], losses
        ),
        architecture=markdown_table(
            ["size", "value"],
            [[key, str(value)] for key, value in architecture.items()],
        ),
        texts=markdown_table(
            ["file", "SHA-256"], [[*item] for item in result["text"].items()]
        ),
        config=fenced(config, "gin"),
    )


def _nats(measured: Mapping[str, float]) -> list[float]:
    fields = ("loss", "other_input_loss", "unigram_entropy")
    return [measured[field] for field in fields]
