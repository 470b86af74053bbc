"""Writes tests/golden/encoders/*.npz: what PyTorch transformers says of small encoders.

Run it again after a new transformers release. On one machine the same version writes
the same bytes; another machine's are other by rounding:

    python tools/make_golden_encoders.py
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import transformers
from make_golden import FOLDER as GOLDEN
from make_golden import write
from transformers.masking_utils import eager_mask
from transformers.models.modernbert import modeling_modernbert

FOLDER = GOLDEN / "encoders"

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}
OWN_SIZES = {  # In the place of token types.
    "modernbert": {
        "local_attention": 6,
        "bos_token_id": 1,
        "cls_token_id": 1,
        "eos_token_id": 2,
        "sep_token_id": 2,
    }
}
# name: (configuration, model, id of padding, position of the first token)
VARIANTS: dict[str, tuple[str, str, int, int]] = {
    "bert": ("BertConfig", "BertForPreTraining", 0, 0),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM", 1, 2),
    "xlm_roberta": ("XLMRobertaConfig", "XLMRobertaForMaskedLM", 1, 2),
    "modernbert": ("ModernBertConfig", "ModernBertForMaskedLM", 0, 0),
}
WIDTH, PREFIX, SOFT = 9, 3, 4


def make_model(name: str) -> Any:
    """Builds a model whose weights are large enough to matter."""
    config, model, pad, _ = VARIANTS[name]
    torch.manual_seed(list(VARIANTS).index(name))
    sizes = {**SIZES, **OWN_SIZES.get(name, {})}
    if name in OWN_SIZES:
        del sizes["type_vocab_size"]
    settings = getattr(transformers, config)(**sizes, pad_token_id=pad)
    made = getattr(transformers, model)(settings).eval()
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(torch.randn_like(weights) * (0.2 if weights.ndim > 1 else 0.3))
            # Halves the files: the lower 16 bits are zeros.
            weights.copy_(weights.bfloat16().float())
    return made


def make_rows(model: Any) -> dict[str, torch.Tensor]:
    """Draws a row without padding and one with it, a prefix and soft tokens.

    Soft tokens are of the embedding table's own scale.
    """
    draw = torch.Generator().manual_seed(1)
    seen = torch.ones(2, WIDTH, dtype=torch.long)
    seen[1, 6:] = 0
    types = torch.zeros_like(seen)
    types[0, 5:], types[1, 3:6] = 1, 1
    ids = torch.randint(3, SIZES["vocab_size"], seen.shape, generator=draw)
    config = model.config
    heads = config.num_attention_heads
    size = (2, config.num_hidden_layers, PREFIX, heads, config.hidden_size // heads)
    scale = model.get_input_embeddings().weight.detach().std()
    soft = scale * torch.randn(2, SOFT, config.hidden_size, generator=draw)
    return {
        "ids": ids,
        "seen": seen,
        "types": types,
        "prefix": torch.randn(size, generator=draw),
        "soft": soft,
    }


@torch.no_grad()
def score(
    model: Any, rows: dict[str, torch.Tensor], first: int
) -> dict[str, torch.Tensor]:
    """Computes states and scores without a prefix, behind one, and with soft tokens.

    Args:
        model: The model.
        rows: From `make_rows`.
        first: Position of a text's first token.
    """
    body = getattr(model, model.base_model_prefix)
    words, seen = body.get_input_embeddings()(rows["ids"]), rows["seen"]
    modern = model.config.model_type == "modernbert"
    types: dict[str, Any] = {} if modern else {"token_type_ids": rows["types"]}
    if modern:
        head = torch.nn.Sequential(model.head, model.decoder)
    else:
        head = model.cls.predictions if hasattr(model, "cls") else model.lm_head

    def states(
        x: torch.Tensor, mask: torch.Tensor, start: int = 0, **options: Any
    ) -> Any:
        places = torch.arange(x.shape[1])[None].expand(len(x), -1)
        return body(
            inputs_embeds=x,
            attention_mask=mask,
            position_ids=places + first + start,
            **options,
        )

    def behind(start: int) -> torch.Tensor:
        if modern:
            with attending_to(body, rows["prefix"], in_front=start > 0):
                return states(words, seen, start).last_hidden_state
        cache = transformers.DynamicCache()
        for layer, both in enumerate(zip(*rows["prefix"], strict=True)):
            parts = (x.transpose(0, 1)[None].expand(2, -1, -1, -1) for x in both)
            cache.update(*parts, layer)
        mask = torch.nn.functional.pad(seen, (PREFIX, 0), value=1)
        options: dict[str, Any] = {"past_key_values": cache}
        return states(words, mask, start, **types, **options).last_hidden_state

    def with_soft(place: int) -> torch.Tensor:
        parts = words[:, :place], rows["soft"], words[:, place:]
        mask = torch.nn.functional.pad(seen, (SOFT, 0), value=1)
        return states(torch.cat(parts, dim=1), mask).last_hidden_state

    alone = states(words, seen, **types)
    found = {
        "states": alone.last_hidden_state,
        "scores": head(alone.last_hidden_state),
        "states_behind": behind(PREFIX),
        "states_beside": behind(0),
        "states_soft_0": with_soft(0),
        "states_soft_1": with_soft(1),
    }
    if getattr(alone, "pooler_output", None) is not None:
        found["pooled"] = alone.pooler_output
    return found


@contextlib.contextmanager
def attending_to(body: Any, prefix: torch.Tensor, *, in_front: bool) -> Iterator[None]:
    """Lets each layer of a ModernBERT, which takes no cache, attend to a prefix too.

    Args:
        body: The model without its head.
        prefix: [keys or values, N, P, H, K].
        in_front: Whether the prefix has the positions from 0 on, which a layer that
            slides sees from near by alone.
    """
    tokens = prefix.shape[2]

    def attend(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor,
        **options: Any,
    ) -> Any:
        count, _, length, _ = key.shape
        key, value = (
            torch.cat([held.transpose(0, 1).expand(count, -1, -1, -1), own], dim=2)
            for held, own in zip(prefix[:, module.layer_idx], (key, value), strict=True)
        )
        hidden = torch.zeros(1, 1, length, tokens)
        if in_front and module.sliding_window is not None:
            places = torch.arange(length)[:, None] + tokens - torch.arange(tokens)
            hidden[0, 0, places >= module.sliding_window] = -torch.inf
        if attention_mask is None:
            attention_mask = torch.zeros(count, 1, length, length)
        hidden = hidden.expand(count, -1, -1, -1)
        mask = torch.cat([hidden, attention_mask], dim=3)
        return modeling_modernbert.eager_attention_forward(
            module, query, key, value, mask, **options
        )

    transformers.AttentionInterface.register("behind", attend)
    transformers.AttentionMaskInterface.register("behind", eager_mask)
    before = body.config._attn_implementation
    body.config._attn_implementation = "behind"
    try:
        yield
    finally:
        body.config._attn_implementation = before


def saved(model: Any) -> dict[str, np.ndarray]:
    """Returns what a folder of the model holds: its weights, and its config as text."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        weights = safetensors.numpy.load_file(Path(folder, "model.safetensors"))
        config = json.loads(Path(folder, "config.json").read_text())
    config["transformers_version"] = ""
    return {
        **{f"weights/{name}": array for name, array in weights.items()},
        "config": np.array(json.dumps(config, sort_keys=True)),
    }


def main() -> None:
    """Writes one file for each variant."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (*_, first) in VARIANTS.items():
        model = make_model(name)
        rows = make_rows(model)
        found = {**rows, **score(model, rows, first)}
        arrays = {key: value.numpy() for key, value in found.items()}
        write(FOLDER / f"{name}.npz", {**saved(model), **arrays})
        print(f"{name}: {(FOLDER / f'{name}.npz').stat().st_size} bytes")
    print(f"transformers {transformers.__version__}", file=sys.stderr)


if __name__ == "__main__":
    main()
