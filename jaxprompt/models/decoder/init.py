"""Random weights for a decoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxprompt.models.decoder.block import INITIAL_SCALE, Block
from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.shapes import Params


def init_params(config: DecoderConfig, key: Key[Array, ""]) -> Params:
    """Draws the matrices and both tables; norms and biases start without effect.

    Source: transformers' GPT-2: 0.02 for every table and matrix, where the released
    code of Radford et al. 2019 has 0.01 for positions; see `Block` too.
    """
    table_key, positions_key, layers_key = jax.random.split(key, 3)
    table_shape = (config.vocab_size, config.width)
    table = INITIAL_SCALE * jax.random.normal(table_key, table_shape)
    padding = (1, config.vocab_rows - config.vocab_size - 1)
    positions = jax.random.normal(positions_key, (config.positions, config.width))
    token, mask = jnp.zeros((1, 1, config.width)), jnp.zeros((1, 1, 1))
    block = Block(config, dropout=0.0)

    def init_layer(key: Key[Array, ""]) -> Params:
        return block.init(key, token, mask)["params"]

    return {
        "embedding": jnp.pad(table, (padding, (0, 0))),
        "positions": INITIAL_SCALE * positions,
        "layers": jax.vmap(init_layer)(jax.random.split(layers_key, config.layers)),
        "final_norm": {
            "scale": jnp.ones(config.width),
            "bias": jnp.zeros(config.width),
        },
    }
