"""Random weights for a decoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxprompt.models.decoder.block import INITIAL_SCALE, DecoderBlock
from jaxprompt.models.decoder.config import DecoderConfig
from jaxprompt.models.layers.norms import Norm
from jaxprompt.shapes import Params


def init_params(config: DecoderConfig, key: Key[Array, ""]) -> Params:
    """Draws the matrices and the tables; norms and biases start without effect.

    Source: transformers' GPT-2 and Llama: 0.02 for every table and matrix, where the
    released code of Radford et al. 2019 has 0.01 for positions; see `DecoderBlock` too.
    """
    switches, width = config.switches, config.width
    table_key, positions_key, layers_key = jax.random.split(key, 3)
    block, norm = DecoderBlock(config, dropout=0.0), Norm(switches.norm, width, 0.0)
    token, mask = jnp.zeros((1, 1, width)), jnp.ones((1, 1, 1), bool)

    def init_layer(key: Key[Array, ""]) -> Params:
        return block.init(key, token, mask)["params"]

    def draw(key: Key[Array, ""], rows: int) -> Array:
        return INITIAL_SCALE * jax.random.normal(key, (rows, width))

    def draw_table(key: Key[Array, ""]) -> Array:
        rows = draw(key, config.vocab_size)
        return jnp.pad(rows, ((0, config.row_padding), (0, 0)))

    params = {
        "embedding": draw_table(table_key),
        "layers": jax.vmap(init_layer)(jax.random.split(layers_key, config.layers)),
        "final_norm": norm.init(key, token)["params"],
    }
    if switches.learned_positions:
        params["positions"] = draw(positions_key, config.positions)
    if not switches.tied:
        params["unembedding"] = draw_table(jax.random.fold_in(table_key, 1))
    return params
