"""Which way of pre-training makes a tiny T5 promptable? One table.

    python tools/compare_pretraining.py OUT --text novels --steps 2500

pre-trains the nano in several ways that differ in one thing each, in OUT/NAME, and
trains the quickstart's prompt on each of them with three seeds. Finished runs are not
run again, and a killed one resumes.
"""

import argparse
from pathlib import Path
from typing import Any

from compare_backbones import compare, results_table

from jaxprompt.command.configure import configure
from jaxprompt.report.text.table import table
from jaxprompt.runs import train

TOKENIZER = "gin/recipes/nano/tokenizer.gin"
PRETRAIN = "gin/recipes/nano/pretrain.gin"

DENOISING = "{'span_corruption': 1.0, 'prefix_lm': 1.0}"
COPYING = "{'span_corruption': 1.0, 'high_corruption': 1.0, 'deshuffle': 1.0}"

VARIANTS: dict[str, list[str]] = {
    "recipe": [],
    "random_embeddings": ["EMBEDDINGS='random'", "EMBEDDING_SHARE=1.0"],
    "embeddings_at_full_rate": ["EMBEDDING_SHARE=1.0"],
    "span_and_prefix_only": [f"OBJECTIVES={DENOISING}"],
    "copying_without_skills": [f"OBJECTIVES={COPYING}"],
    "span_and_prefix_random": [
        f"OBJECTIVES={DENOISING}",
        "EMBEDDINGS='random'",
        "EMBEDDING_SHARE=1.0",
    ],
    "adamw": ["OPTIMIZER='adamw'", "LEARNING_RATE=0.003"],
    "small_vocabulary": [],
}
"""Name -> what differs from gin/recipes/nano/pretrain.gin."""

SMALL = ["PIECES=2000", "SENTINELS=48"]
"""The vocabulary of "small_vocabulary"."""


def run(out: Path, file: str, settings: list[str]) -> dict[str, Any]:
    """Runs one gin file in a folder; returns its result."""
    configured, config = configure([file], settings)
    return train(configured, out, config=config)


def losses_table(results: dict[str, dict[str, Any]]) -> str:
    """Lays out what the decoder gains from its own encoder input."""
    fields = ("span_corruption", "fitting_word")
    header = ["pre-training", *(f"{field}: own / other input" for field in fields)]
    rows = []
    for name, result in results.items():
        cells = []
        for field in fields:
            loss = result["objectives"].get(field)
            cells.append(
                f"{loss['loss']:.2f} / {loss['other_input_loss']:.2f}" if loss else "-"
            )
        rows.append([name, *cells])
    return table(header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare ways of pre-training.")
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--text", required=True, help="folder of *.txt files")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seeds", type=int, default=3, help="of the prompts")
    parser.add_argument(
        "--prompt",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="of the prompts' run, as STEPS=200",
    )
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    flags = parser.parse_args()
    text = f"TEXT={flags.text!r}"
    results, backbones = {}, {}
    for name in flags.only:
        own = SMALL if name == "small_vocabulary" else []
        tokenizer = flags.out / ("tokenizer_small" if own else "tokenizer")
        run(tokenizer, TOKENIZER, [text, *own])
        vocabulary = f"VOCABULARY={str(tokenizer / 'spiece.model')!r}"
        steps = f"STEPS={flags.steps}"
        settings = [text, vocabulary, steps, *VARIANTS[name]]
        results[name] = run(flags.out / name, PRETRAIN, settings)
        backbones[name] = str(flags.out / name / "model")
    prompts = compare(
        flags.out / "prompts", backbones, settings=flags.prompt, seeds=flags.seeds
    )
    print(f"\n{losses_table(results)}\n\n{results_table(prompts)}")
