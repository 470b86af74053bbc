"""Small T5s: golden ones from PyTorch as Hugging Face folders, and random ones."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_files import GOLDEN, Golden

from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.tokens import Tokens
from jaxprompt.shapes import Params


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str], Golden]:
    def read(name: str) -> Golden:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
            found = Golden(tmp_path / Path(name).name, dict(file))
        found.write()
        return found

    return read


@dataclasses.dataclass(frozen=True)
class Example:
    """A model with padded inputs: the second row is shorter."""

    backbone: T5
    params: Params
    x: jax.Array
    input_segments: jax.Array
    y: jax.Array
    target_segments: jax.Array

    @property
    def source(self) -> Tokens:
        return Tokens(self.x, self.input_segments)

    @property
    def target(self) -> Tokens:
        return Tokens(self.y, self.target_segments)

    def logits(self, backbone: T5 | None = None, params: Params | None = None):
        return jax.jit((backbone or self.backbone).logits)(
            self.params if params is None else params, self.source, self.target
        )

    @functools.cached_property
    def expected(self) -> np.ndarray:
        return np.asarray(self.logits())


@pytest.fixture(scope="session")
def example() -> Example:
    config = T5Config(
        vocab_rows=64,
        width=32,
        heads=8,
        head_width=8,
        ffn_width=48,
        encoder_layers=2,
        decoder_layers=2,
        gated=True,
        activation="gelu_new",
        tied=False,
        scaled_logits=False,
    )
    backbone = T5(config)
    # rbg keys compile in a third of the time.
    keys = jax.random.split(jax.random.key(0, impl="rbg"), 3)
    return Example(
        backbone,
        jax.jit(backbone.init)(keys[0]),
        jax.random.normal(keys[1], (2, 12, 32)),
        (jnp.arange(12)[None] < jnp.array([[12], [7]])).astype(jnp.int32),
        jax.random.normal(keys[2], (2, 6, 32)),
        (jnp.arange(6)[None] < jnp.array([[6], [4]])).astype(jnp.int32),
    )
