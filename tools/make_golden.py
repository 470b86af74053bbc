"""Writes tests/golden/*.npz: what PyTorch transformers says of small random T5s.

Run it again after a new transformers release. On one machine the same version writes
the same bytes; another machine's are other by rounding:

    python tools/make_golden.py
"""

import argparse
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"

SIZES = {
    "vocab_size": 64,
    "d_model": 32,
    "d_kv": 10,  # heads * d_kv is not d_model, as in T5 1.1 small
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
GATED = {"feed_forward_proj": "gated-gelu"}
UNSCALED = {"tie_word_embeddings": False}
# name: (settings, model class, whether the output matrix is a weight of its own)
VARIANTS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "t5_1_0": ({"num_decoder_layers": 3}, "T5", False),
    "t5_1_1": ({**GATED, **UNSCALED}, "T5", True),
    "t5_1_1_tied": ({**GATED, **UNSCALED}, "T5", False),
    "mt5": (GATED, "MT5", True),
}
PAD, END = 0, 1
STEPS = 8
BEAMS = 4


def make_model(settings: dict[str, Any], family: str, untied: bool, seed: int) -> Any:
    """Builds a model whose weights are large enough to matter."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **settings})
    model = getattr(transformers, f"{family}ForConditionalGeneration")(config).eval()
    if untied:
        model.lm_head.weight = torch.nn.Parameter(torch.empty(64, 32))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_matrix = weight.ndim == 2 and "relative" not in name
            scale = 0.15 if is_matrix and "block" in name else 0.5
            weight.normal_(std=scale).add_(1.0 if "norm" in name else 0.0)
            if name in ("shared.weight", "lm_head.weight"):
                weight[PAD] *= 0.25
                weight[END] *= 1.5  # Some sequences shall end early.
            # Halves the files: the lower 16 bits are zeros.
            weight.copy_(weight.bfloat16().float())
    return model


def make_batch() -> dict[str, torch.Tensor]:
    """Draws padded inputs and targets, and a prompt of vectors."""
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randint(2, 64, (3, 40), generator=draw)
    targets = torch.randint(2, 64, (3, 9), generator=draw)
    for row, (source, target) in enumerate([(40, 9), (17, 5), (1, 2)]):
        inputs[row, source:] = 0
        targets[row, target:] = 0
    prompt = torch.randn(5, 32, generator=draw)
    return {"inputs": inputs, "targets": targets, "prompt": prompt}


def padded(ids: torch.Tensor) -> torch.Tensor:
    """Zeroes what follows the end: beam search repeats the end there."""
    ended = (ids == END).int().cumsum(1) - (ids == END).int()
    ids = torch.where(ended > 0, PAD, ids)
    return torch.nn.functional.pad(ids, (0, STEPS - ids.shape[1]))


@torch.no_grad()
def run(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Computes logits with and without the prompt, and decodes without it."""
    inputs, targets, prompt = batch["inputs"], batch["targets"], batch["prompt"]
    mask = (inputs > 0).long()
    decoder_inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0))
    logits = model(
        input_ids=inputs, attention_mask=mask, decoder_input_ids=decoder_inputs
    ).logits
    prompts = prompt[None].expand(len(inputs), -1, -1)
    prompted = model(
        inputs_embeds=torch.cat([prompts, model.shared(inputs)], dim=1),
        attention_mask=torch.nn.functional.pad(mask, (len(prompt), 0), value=1),
        decoder_input_ids=decoder_inputs,
    ).logits
    # transformers sizes its cache by the encoder's layers, and one decoder has more.
    options = {"max_new_tokens": STEPS, "do_sample": False, "use_cache": False}
    options["attention_mask"] = mask
    greedy = model.generate(inputs, **options)
    # No length penalty, and no early end: the best plain sum. But transformers takes an
    # ending only from the best BEAMS continuations, so a better one can be missed.
    beam = model.generate(
        inputs,
        **options,
        num_beams=BEAMS,
        length_penalty=0.0,
        early_stopping="never",
        return_dict_in_generate=True,
        output_scores=True,
    )
    results = {
        **batch,
        "logits": logits,
        "prompted_logits": prompted,
        "greedy": padded(greedy[:, 1:]),
        "beam": padded(beam.sequences[:, 1:]),
        "beam_scores": beam.sequences_scores,
    }
    return {name: value.numpy() for name, value in results.items()}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an npz whose bytes depend on the arrays alone (no time of day)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.save(content, arrays[name], allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, content.getvalue())


def main() -> None:
    """Writes one file for each variant."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, (name, (settings, family, untied)) in enumerate(VARIANTS.items()):
        model = make_model(settings, family, untied, seed)
        weights = {
            f"weights/{key}": value.detach().numpy()
            for key, value in model.named_parameters()
        }
        config = {**model.config.to_dict(), "transformers_version": ""}
        if untied:
            # As published checkpoints say it; transformers 5 would write true.
            config["tie_word_embeddings"] = False
        text = json.dumps(config, sort_keys=True)
        arrays = {**weights, **run(model, make_batch()), "config": np.array(text)}
        write(FOLDER / f"{name}.npz", arrays)
        print(f"{name}: {(FOLDER / f'{name}.npz').stat().st_size} bytes")
    print(f"transformers {transformers.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
