"""Writes tests/golden/decoders/*.npz: what PyTorch transformers says of small decoders.

Run it again after a new transformers release. On one machine the same version writes
the same bytes; another machine's are other by rounding:

    python tools/make_golden_decoders.py
"""

import argparse
import copy
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
WINDOW = 7  # Less than a prefix and the text behind it, and than the text alone.
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
    "mistral": ("mistral", {"sliding_window": WINDOW}),
    "qwen2_yarn": (
        "qwen2",
        rope("yarn", factor=4.0, original_max_position_embeddings=16),
    ),
    "qwen2_sliding": (
        "qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "max_window_layers": 1,
        },
    ),
    "qwen3": ("qwen3", WIDE),
    "gemma2": (
        "gemma2",
        {
            **WIDE,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 12,
            # Low enough to be felt.
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": (
        "gemma3_text",
        {
            **WIDE,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 12,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "gemma3_linear": (
        "gemma3_text",
        {
            **WIDE,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "linear",
                    "factor": 8.0,
                    "rope_theta": 1000.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
    "phi3": ("phi3", {"sliding_window": WINDOW}),
    "olmo2": ("olmo2", {}),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0, 1]}),
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
def score(model: Any, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Computes logits without a prefix, and behind one.

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

    def roll(x: torch.Tensor, places: int) -> torch.Tensor:
        """Moves the padding of the row that has it in front."""
        return torch.stack([x[0], torch.roll(x[1], places, 0), *x[2:]])

    # A sliding window counts padding, which behind a prefix would be in between.
    left = WIDTH - LENGTHS[1]
    behind = model(
        inputs_embeds=roll(words, -left),
        attention_mask=torch.nn.functional.pad(roll(seen, -left), (PREFIX, 0), value=1),
        position_ids=roll(positions, -left) + PREFIX,
        past_key_values=cache,
    ).logits
    behind = roll(behind, left)
    return {"logits": logits, "logits_behind": behind}


@torch.no_grad()
def bfloat16_error(
    model: Any, rows: dict[str, torch.Tensor], exact: torch.Tensor
) -> torch.Tensor:
    """Returns the root mean square by which logits in bfloat16 are off."""
    half = copy.deepcopy(model).bfloat16()
    seen = rows["seen"]
    rounded = {key: x.bfloat16() for key, x in rows.items() if x.is_floating_point()}
    logits = score(half, {**rows, **rounded})["logits"].float()
    return (logits - exact)[seen > 0].square().mean().sqrt()


@torch.no_grad()
def write_on(model: Any, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Writes on from the first row, greedily and by beams."""
    # No sequence ends: transformers would let it end only among the best BEAMS.
    options = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None}
    options["pad_token_id"] = 0
    row = rows["ids"][:1]
    greedy = model.generate(row, **options)
    beam = model.generate(
        row,
        **options,
        num_beams=BEAMS,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    return {
        "greedy": greedy[:, WIDTH:],
        "beam": beam.sequences[:, WIDTH:],
        "beam_scores": beam.sequences_scores,
    }


def main() -> None:
    """Writes one file for each variant."""
    argparse.ArgumentParser(description=__doc__).parse_args()
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
        rows = make_rows(model)
        found = {**rows, **score(model, rows), **write_on(model, rows)}
        found["bfloat16_error"] = bfloat16_error(model, rows, found["logits"])
        arrays = {
            **weights,
            **{key: value.numpy() for key, value in found.items()},
            "config": np.array(text),
        }
        write(FOLDER / f"{name}.npz", arrays)
        print(f"{name}: {(FOLDER / f'{name}.npz').stat().st_size} bytes")
    print(f"transformers {transformers.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
