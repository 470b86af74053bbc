"""Writes tests/golden/decoders/*.npz: what PyTorch transformers says of small decoders.

Run it again after a new transformers release; the same version writes the same bytes:

    python tools/make_golden_decoders.py
"""

import json
import sys
from typing import Any

import numpy as np
import torch
import transformers
from make_golden import FOLDER as GOLDEN
from make_golden import write

FOLDER = GOLDEN / "decoders"

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Heads that are together wider than the model.
WIDE = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}


def rope(kind: str, theta: float = 100.0, **settings: Any) -> dict[str, Any]:
    """Returns rotary positions, of a base that turns far within a short text."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **settings}}


# name: (model type, settings)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama_biases_tied": (
        "llama",
        {
            **WIDE,
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": True,
        },
    ),
    "llama_linear": ("llama", rope("linear", factor=4.0)),
    "llama3": (
        "llama",
        rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=16,
        ),
    ),
}
LENGTHS = (14, 9, 6, 8)
"""Tokens of each row; see `make_rows`."""
WIDTH, PROMPT, PREFIX, STEPS, BEAMS = 14, 5, 6, 6, 3


def make_model(name: str) -> Any:
    """Builds a model whose weights are large enough to matter."""
    kind, settings = VARIANTS[name]
    config = transformers.AutoConfig.for_model(kind, **{**SIZES, **settings})
    torch.manual_seed(list(VARIANTS).index(name))
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * (0.3 if weights.ndim > 1 else 0.2))
            # Halves the files: the lower 16 bits are zeros.
            weights.copy_(weights.bfloat16().float())
    return model


def make_rows(model: Any) -> dict[str, torch.Tensor]:
    """Draws a row without padding, one padded left, one right, and one with a prompt.

    The prompt is of rows of the embedding table's own scale.
    """
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(3, SIZES["vocab_size"], (len(LENGTHS), WIDTH), generator=draw)
    seen = torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        seen[row, slice(WIDTH - length, None) if row == 1 else slice(length)] = 1
    width = model.config.hidden_size
    table = model.get_input_embeddings().weight.detach()
    prompt = table.std() * torch.randn(PROMPT, width, generator=draw)
    size = (2, model.config.num_hidden_layers, len(ids), PREFIX, *_heads(model))
    return {
        "ids": ids * seen,
        "seen": seen,
        "prompt": prompt,
        "prefix": torch.randn(size, generator=draw),
    }


def _heads(model: Any) -> tuple[int, int]:
    """Returns the number of heads of keys and values, and their width."""
    config = model.config
    width = getattr(config, "head_dim", None)
    return (
        config.num_key_value_heads,
        width or config.hidden_size // config.num_attention_heads,
    )


@torch.no_grad()
def run(model: Any, rows: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Computes logits without and behind a prefix, and writes on from the rows.

    The last row begins with the prompt, in the place of words.
    """
    ids, seen = rows["ids"], rows["seen"]
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    embedding = model.get_input_embeddings()
    words = embedding(ids)
    # Gemma multiplies its words, and so what stands in the place of words.
    words[-1, :PROMPT] = rows["prompt"] * getattr(embedding, "scalar_embed_scale", 1.0)
    call = {"inputs_embeds": words, "attention_mask": seen}
    logits = model(**call, position_ids=positions).logits
    keys, values = rows["prefix"].transpose(3, 4)
    cache = transformers.DynamicCache(list(zip(keys, values, strict=True)))
    behind = model(
        inputs_embeds=words,
        attention_mask=torch.nn.functional.pad(seen, (PREFIX, 0), value=1),
        position_ids=positions + PREFIX,
        past_key_values=cache,
    ).logits
    options = {"max_new_tokens": STEPS, "do_sample": False, "pad_token_id": 0}
    row = ids[:1]
    greedy = model.generate(row, **options, eos_token_id=None)
    beam = model.generate(
        row,
        **options,
        num_beams=BEAMS,
        length_penalty=0.0,
        early_stopping="never",
        return_dict_in_generate=True,
        output_scores=True,
    )
    results = {
        **rows,
        "logits": logits,
        "logits_behind": behind,
        "greedy": greedy[:, WIDTH:],
        "beam": torch.nn.functional.pad(
            beam.sequences[:, WIDTH:], (0, STEPS + WIDTH - beam.sequences.shape[1])
        ),
        "beam_scores": beam.sequences_scores,
    }
    return {name: value.numpy() for name, value in results.items()}


def main() -> None:
    """Writes one file for each variant."""
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in VARIANTS:
        model = make_model(name)
        weights = {
            f"weights/{key}": value.detach().numpy()
            for key, value in model.named_parameters()
        }
        config = {**model.config.to_dict(), "transformers_version": ""}
        text = json.dumps(config, sort_keys=True)
        arrays = {**weights, **run(model, make_rows(model)), "config": np.array(text)}
        write(FOLDER / f"{name}.npz", arrays)
        print(f"{name}: {(FOLDER / f'{name}.npz').stat().st_size} bytes")
    print(f"transformers {transformers.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
