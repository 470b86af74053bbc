"""Random weights for an encoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxprompt.models.encoder.block import INITIAL_SCALE, Block
from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.layers.norms import Norm
from jaxprompt.shapes import Params


def init_params(config: EncoderConfig, key: Key[Array, ""]) -> Params:
    """Draws the matrices and the tables; norms and biases start without effect.

    Source: Devlin et al. 2019 (arXiv:1810.04805), released code: 0.02 for every table
    and matrix.
    """
    width = config.width
    keys = iter(jax.random.split(key, 6))
    block, norm = Block(config, dropout=0.0), Norm("layer", width, 0.0)
    token, mask = jnp.zeros((1, 1, width)), jnp.ones((1, 1, 1), bool)

    def init_layer(key: Key[Array, ""]) -> Params:
        return block.init(key, token, mask)["params"]

    def draw(rows: int) -> Array:
        return INITIAL_SCALE * jax.random.normal(next(keys), (rows, width))

    new_norm = norm.init(key, token)["params"]
    params = {
        "embedding": jnp.pad(
            draw(config.vocab_size), ((0, config.row_padding), (0, 0))
        ),
        "positions": draw(config.positions),
        "types": draw(config.types),
        "embedding_norm": new_norm,
        "layers": jax.vmap(init_layer)(jax.random.split(next(keys), config.layers)),
    }
    dense = {"weight": draw(width), "bias": jnp.zeros(width)}
    if config.pooler:
        params["pooler"] = dense
    if config.fills:
        bias = jnp.zeros(config.vocab_rows)
        dense = {"weight": draw(width), "bias": jnp.zeros(width)}
        params["fill"] = {**dense, "norm": new_norm, "word_bias": bias}
    return params
