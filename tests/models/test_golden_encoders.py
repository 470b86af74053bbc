"""Every kind of encoder equals PyTorch transformers, from files made once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_files import GOLDEN, Golden

from jaxprompt.models.load import load
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.tokens import Tokens

VARIANTS = sorted(path.stem for path in (GOLDEN / "encoders").iterdir())


@pytest.fixture(scope="module", params=VARIANTS)
def loaded(request, tmp_path_factory):
    """A model, what PyTorch says of it, and the rows that it says that of."""
    with np.load(GOLDEN / "encoders" / f"{request.param}.npz") as file:
        golden = Golden(tmp_path_factory.mktemp("golden") / "model", dict(file))
    backbone, params = load(golden.write())
    arrays = golden.arrays
    x = backbone.table(params)[jnp.asarray(arrays["ids"])]
    seen, types = (np.int32(arrays[name]) for name in ("seen", "types"))
    states = jax.jit(backbone.states)
    return backbone, params, arrays, states, Tokens(x, jnp.asarray(seen), types)


def assert_near(found, expected, seen):
    found, seen = np.asarray(found), np.asarray(seen) > 0
    np.testing.assert_allclose(found[seen], expected[seen], atol=1e-5, rtol=1e-5)


def test_states_scores_and_pooler_equal_pytorch_with_padding_and_two_types(loaded):
    backbone, params, arrays, states, rows = loaded
    found = states(params, rows)
    assert_near(found, arrays["states"], rows.segments)
    count = arrays["scores"].shape[-1]
    scores = backbone.fill(params, found)[..., :count]
    assert_near(scores, arrays["scores"], rows.segments)
    assert ("pooler" in params) == ("pooled" in arrays)
    if "pooler" in params:
        pooler = jax.tree.map(np.asarray, params["pooler"])
        pooled = np.tanh(np.asarray(found)[:, 0] @ pooler["weight"] + pooler["bias"])
        np.testing.assert_allclose(pooled, arrays["pooled"], atol=1e-5)


@pytest.mark.parametrize("in_front", [True, False])
def test_states_behind_a_prefix_equal_pytorch(loaded, in_front):
    """Positions are shifted by it, or are not."""
    _, params, arrays, states, rows = loaded
    keys, values = jnp.asarray(arrays["prefix"])[:, :, None]
    members = jnp.zeros(len(rows.x), jnp.int32)
    prefix = {"encoder": Prefix(keys, values, members, in_front=in_front)}
    found = states(params, rows, prefix=prefix)
    expected = arrays["states_behind" if in_front else "states_beside"]
    assert_near(found, expected, rows.segments)


@pytest.mark.parametrize("place", [0, 1])
def test_soft_tokens_in_front_of_the_first_or_behind_equal_pytorch(loaded, place):
    _, params, arrays, states, rows = loaded
    soft = arrays["soft"]
    places = [place] * soft.shape[1]
    x = np.insert(np.asarray(rows.x), places, soft, axis=1)
    segments = np.insert(np.asarray(rows.segments), places, 1, axis=1)
    found = states(params, Tokens(jnp.asarray(x), segments))
    assert_near(found, arrays[f"states_soft_{place}"], segments)
