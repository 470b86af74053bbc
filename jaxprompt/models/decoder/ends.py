"""The two ends of a decoder around its layers: embeddings in, scores of ids out."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.layers.dense import score_ids
from jaxprompt.models.layers.norms import normalise
from jaxprompt.shapes import Params

# Finite, and so small that a softmax gives these ids nothing.
_NEVER = -1e9


def enter(
    config: DecoderConfig,
    params: Params,
    x: Float[Array, "B T D"],
    positions: Int[Array, "B T"],
    dtype: str,
) -> Float[Array, "B T D"]:
    """Scales embedded tokens, and adds what the model has learned of their positions.

    Source: Gemma Team 2024's released code for the factor sqrt(D), rounded to the dtype
    to compute in.

    Args:
        config: Sizes and switches.
        params: The weights.
        x: Rows of the embedding table, soft tokens among them.
        positions: From 0; -1 on padding, which sees nothing, not even itself.
        dtype: Dtype to compute in.
    """
    x = x.astype(dtype)
    if config.switches.scaled_embedding:
        x = x * jnp.asarray(config.width**0.5, dtype)
    if not config.switches.learned_positions:
        return x
    known = params["positions"][jnp.maximum(positions, 0)]
    return x + known.astype(dtype)


def unembed(
    config: DecoderConfig, params: Params, y: Float[Array, "B L D"]
) -> Float[Array, "B L V"]:
    """Normalises what the layers made, and scores every id.

    Args:
        config: Sizes and switches.
        params: The weights.
        y: Output of the last layer.

    Returns:
        Unnormalised log probabilities, float32; -1e9 for ids that are no token.
    """
    switches = config.switches
    y = normalise(switches.norm, y, params["final_norm"], config.norm_epsilon)
    rows = params["embedding" if switches.tied else "unembedding"]
    logits = score_ids(y, rows, is_table=True)
    if switches.logit_cap is not None:
        logits = switches.logit_cap * jnp.tanh(logits / switches.logit_cap)
    ids_V = jnp.arange(config.vocab_rows)
    is_token_V = ids_V < config.vocab_size
    return jnp.where(is_token_V[None, None], logits, jnp.float32(_NEVER))
