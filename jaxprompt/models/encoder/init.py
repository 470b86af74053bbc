"""Random weights for an encoder."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from jaxprompt.models.encoder.block import INITIAL_SCALE, EncoderBlock
from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.layers.norms import Norm
from jaxprompt.shapes import Params


def init_params(config: EncoderConfig, key: Key[Array, ""]) -> Params:
    """Draws the matrices and the tables; norms and biases start without effect.

    Source: Devlin et al. 2019 (arXiv:1810.04805), released code: 0.02 for every table
    and matrix.
    """
    width, switches = config.width, config.switches
    keys = iter(jax.random.split(key, 6))
    block, norm = EncoderBlock(config, dropout=0.0), Norm(switches.norm, width, 0.0)
    token, mask = jnp.zeros((1, 1, width)), jnp.ones((1, 1, 1), bool)

    def init_layer(key: Key[Array, ""]) -> Params:
        return block.init(key, token, mask)["params"]

    def draw(rows: int) -> Array:
        return INITIAL_SCALE * jax.random.normal(next(keys), (rows, width))

    new_norm = norm.init(key, token)["params"]

    def draw_dense() -> Params:
        bias = {"bias": jnp.zeros(width)} if switches.biases else {}
        return {"weight": draw(width), **bias}

    params = {
        "embedding": jnp.pad(
            draw(config.vocab_size), ((0, config.row_padding), (0, 0))
        ),
        "embedding_norm": new_norm,
    }
    if switches.tables:
        params["positions"] = draw(config.positions)
        params["types"] = draw(config.types)
    layers: Any = jax.vmap(init_layer)(jax.random.split(next(keys), config.layers))
    params["layers"] = layers
    if switches.norms_first:
        params["final_norm"] = new_norm
    if switches.first_reads_bare:
        norms = layers.pop("attention_norm")
        params["attention_norms"] = jax.tree.map(lambda leaf: leaf[1:], norms)
    pooler = draw_dense()
    if config.pooler:
        params["pooler"] = pooler
    if config.fills:
        word_bias = jnp.zeros(config.vocab_rows)
        params["fill"] = {**draw_dense(), "norm": new_norm, "word_bias": word_bias}
    return params
