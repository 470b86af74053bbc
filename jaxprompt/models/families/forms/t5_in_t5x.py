"""T5 in T5X checkpoint folders: sizes out of shapes, and the names of its tensors."""

from collections.abc import Mapping
from pathlib import Path

from jaxprompt.models.families.family import T5X, TensorLayout
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.weights.source import TensorSource

_EMBEDDING = "token_embedder.embedding"
_HEAD = "decoder.logits_dense.kernel"
_BIAS = "encoder.relpos_bias.rel_embedding"
# Of each stack: our name, T5X's name, and T5X's name of the norm before it.
_PARTS = {
    "encoder": (("attention", "attention", "pre_attention_layer_norm"),),
    "decoder": (
        ("attention", "self_attention", "pre_self_attention_layer_norm"),
        ("cross", "encoder_decoder_attention", "pre_cross_attention_layer_norm"),
    ),
}


def _read_config(shapes: Mapping[str, tuple[int, ...]], folder: Path) -> T5Config:
    """Reads the sizes of a model whose layers are not scanned.

    What shapes cannot say is as in all published T5X models: tanh GELU where there is
    a gate, else ReLU; output scaled where it is tied; distances up to 128 tokens.
    """

    def layer_count(stack: str) -> int:
        start = f"{stack}.layers_"
        return len({name.split(".")[1] for name in shapes if name.startswith(start)})

    gated = "encoder.layers_0.mlp.wi_0.kernel" in shapes
    up = f"encoder.layers_0.mlp.{'wi_0' if gated else 'wi'}.kernel"
    query = "encoder.layers_0.attention.query.kernel"
    missing = [name for name in (_EMBEDDING, _BIAS, query, up) if name not in shapes]
    if missing:
        raise ValueError(
            f"{folder} has no {', '.join(missing)}: it is no T5X checkpoint of a T5 "
            "with separate layers (scanned ones: convert them with T5X first)"
        )
    for name in (_EMBEDDING, _BIAS, query, up):
        if len(shapes[name]) != 2 or 0 in shapes[name]:
            raise ValueError(
                f"{folder}: {name} has shape {shapes[name]}, where a T5 has a matrix: "
                "fetch the whole checkpoint folder again"
            )
    (vocab_rows, width), (heads, buckets) = shapes[_EMBEDDING], shapes[_BIAS]
    tied = _HEAD not in shapes
    try:
        return T5Config(
            vocab_rows=vocab_rows,
            width=width,
            heads=heads,
            head_width=shapes[query][1] // heads,
            ffn_width=shapes[up][1],
            encoder_layers=layer_count("encoder"),
            decoder_layers=layer_count("decoder"),
            gated=gated,
            activation="gelu_new" if gated else "relu",
            tied=tied,
            scaled_logits=tied,
            buckets=buckets,
        )
    except ValueError as err:
        raise ValueError(f"{folder}: {err}") from err


def _sources(config: T5Config) -> dict[str, TensorSource]:
    """Returns the names that T5X gives to each leaf of the params."""
    sources = {"embedding": TensorSource((_EMBEDDING,))}
    if not config.tied:
        sources["logits"] = TensorSource((_HEAD,))
    ffn = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    ffn["down"] = "wo"
    counts = {"encoder": config.encoder_layers, "decoder": config.decoder_layers}
    for stack, count in counts.items():
        layer_names = [f"{stack}.layers_{n}" for n in range(count)]
        for ours, theirs, norm in (
            *_PARTS[stack],
            ("ffn", "mlp", "pre_mlp_layer_norm"),
        ):
            at = f"{stack}/layers/{ours}"
            leaves = {
                f"{at}_norm": f"{norm}.scale",
                **(
                    {
                        f"{at}/{leaf}": f"{theirs}.{name}.kernel"
                        for leaf, name in ffn.items()
                    }
                    if ours == "ffn"
                    else {
                        f"{at}/{leaf}": f"{theirs}.{leaf}.kernel"
                        for leaf in ("query", "key", "value", "out")
                    }
                ),
            }
            for leaf, name in leaves.items():
                names = tuple(f"{layer}.{name}" for layer in layer_names)
                sources[leaf] = TensorSource(names, stacked=True)
        sources[f"{stack}/relative_bias"] = TensorSource(
            (f"{stack}.relpos_bias.rel_embedding",), transposed=True
        )
        sources[f"{stack}/final_norm"] = TensorSource((f"{stack}.{stack}_norm.scale",))
    return sources


def _layout(config: T5Config) -> TensorLayout:
    return TensorLayout(_sources(config))


FORMAT = T5X(read_config=_read_config, layout=_layout)
