"""The two ends of a decoder around its layers: positions in, scores of every id out."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.layers.dense import score_ids
from jaxprompt.models.layers.norms import layer_norm
from jaxprompt.shapes import Params

# Finite, and so small that a softmax gives these ids nothing.
_NEVER = -1e9


def add_positions(
    params: Params, x: Float[Array, "B T D"], positions: Int[Array, "B T"], dtype: str
) -> Float[Array, "B T D"]:
    """Adds to each token what the model knows of its position.

    Args:
        params: The weights.
        x: Embedded tokens.
        positions: From 0; -1 on padding, which sees nothing, not even itself.
        dtype: Dtype to compute in.
    """
    known = params["positions"][jnp.maximum(positions, 0)]
    return x.astype(dtype) + known.astype(dtype)


def unembed(
    config: DecoderConfig, params: Params, y: Float[Array, "B L D"]
) -> Float[Array, "B L V"]:
    """Normalises what the layers made, and scores every id by the embedding table.

    Args:
        config: Sizes and switches.
        params: The weights.
        y: Output of the last layer.

    Returns:
        Unnormalised log probabilities, float32; -1e9 for ids that are no token.
    """
    norm, table = params["final_norm"], params["embedding"]
    y = layer_norm(y, norm["scale"], norm["bias"], config.norm_epsilon)
    logits = score_ids(y, table, is_table=True)
    ids_V = jnp.arange(config.vocab_rows)
    real_V = (ids_V > 0) & (ids_V <= config.vocab_size)
    return jnp.where(real_V[None, None], logits, jnp.float32(_NEVER))
