"""What devices exchange is read from the programs that XLA really compiles."""

import jax
import jax.numpy as jnp
import pytest

from jaxprompt.plan.exchange import count_exchange
from jaxprompt.sharding import make_mesh

ROWS, WIDTH, ROUNDS = 8, 64, 5
SIZE = 4 * ROWS * WIDTH
"""Bytes of the activations, float32."""


def compiled_text(function, *specs, mesh):
    shapes = ((ROWS, WIDTH), (WIDTH, WIDTH))
    arguments = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=jax.NamedSharding(mesh, spec))
        for shape, spec in zip(shapes, specs, strict=True)
    ]
    whole = jax.NamedSharding(mesh, jax.P())
    return jax.jit(function, out_shardings=whole).lower(*arguments).compile().as_text()


def test_an_all_reduce_in_a_loop_counts_in_every_round():
    mesh = make_mesh(1, 8)

    def rounds(x, w):
        def one(x, _):
            x = jnp.tanh(x @ w)
            split = jax.NamedSharding(mesh, jax.P(None, "model"))
            return jax.lax.with_sharding_constraint(x, split), None

        return jax.lax.scan(one, x, length=ROUNDS)[0]

    def once(x, w):
        return jnp.tanh(x @ w)

    split = (jax.P(None, "model"), jax.P("model", None))
    alone = count_exchange(compiled_text(once, *split, mesh=mesh))
    # Sent and received: two halves of a ring all-reduce among 8.
    assert alone == pytest.approx(2 * 2 * 7 / 8 * SIZE)
    looped = count_exchange(compiled_text(rounds, *split, mesh=mesh))
    assert looped > 4 * alone


def test_an_all_gather_sends_all_but_its_own_part():
    mesh = make_mesh(2, 4)
    text = compiled_text(
        lambda x, w: x + w.sum(), jax.P(None, "model"), jax.P(), mesh=mesh
    )
    assert count_exchange(text) == pytest.approx(2 * 3 / 4 * SIZE)


def test_one_device_exchanges_nothing():
    program = jax.jit(jnp.matmul).lower(jnp.ones((8, 8)), jnp.ones((8, 8)))
    assert count_exchange(program.compile().as_text()) == 0
