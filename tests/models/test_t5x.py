"""T5X checkpoint folders: every size from the shapes, every tensor in its place."""

import gzip
import shutil

import jax
import numpy as np
import pytest

from jaxprompt.models.load import load
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save


@pytest.fixture
def folder(shared):
    return shared / "data" / "checkpoints" / "t5x_test_t5_1_1_tiny" / "checkpoint_3"


def stored(folder, name, shape):
    """Decodes a one-chunk zarr array without a library."""
    chunk = gzip.decompress((folder / f"target.{name}" / "0.0").read_bytes())
    return np.frombuffer(chunk, "<f4").reshape(shape)


def test_a_t5x_checkpoint_loads(folder):
    backbone, params = load(folder)
    config = backbone.config
    assert (config.width, config.heads, config.head_width) == (4, 2, 2)
    assert (config.ffn_width, config.vocab_rows, config.buckets) == (8, 32128, 4)
    assert (config.encoder_layers, config.decoder_layers) == (2, 2)
    assert (config.gated, config.activation) == (True, "gelu_new")
    assert (config.tied, config.scaled_logits) == (False, False)

    shapes = jax.eval_shape(T5(config).init, jax.random.key(0))
    assert jax.tree.map(lambda leaf: leaf.shape, params) == jax.tree.map(
        lambda leaf: leaf.shape, shapes
    )
    cross = params["decoder"]["layers"]["cross"]["out"][1]
    name = "decoder.layers_1.encoder_decoder_attention.out.kernel"
    np.testing.assert_array_equal(cross, stored(folder, name, (4, 4)))
    gate = params["encoder"]["layers"]["ffn"]["gate"][0]
    name = "encoder.layers_0.mlp.wi_0.kernel"
    np.testing.assert_array_equal(gate, stored(folder, name, (4, 8)))
    table = stored(folder, "token_embedder.embedding", (4096, 4))
    np.testing.assert_array_equal(params["embedding"][:4096], table)
    # Small tensors lie in the index; this one is stored [H, buckets].
    np.testing.assert_allclose(
        params["decoder"]["relative_bias"],
        [
            [0.8435022, -0.45600894],
            [0.47621736, 0.81134737],
            [0.4924242, 0.8470197],
            [0.31291008, -0.04008651],
        ],
    )


def test_the_same_weights_from_hugging_face_have_the_same_fingerprint(folder, tmp_path):
    backbone, params = load(folder)
    save(tmp_path / "copy", backbone, params)
    copy, found = load(tmp_path / "copy")
    assert copy.config == backbone.config
    assert copy.fingerprint == backbone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_a_missing_tensor_is_named(folder, tmp_path):
    copy = tmp_path / "checkpoint_3"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "target.encoder.layers_1.mlp.wo.kernel")
    with pytest.raises(
        ValueError, match=r"encoder\.layers_1\.mlp\.wo\.kernel cannot be"
    ):
        load(copy)


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"])
def test_an_index_that_is_none(tmp_path, content):
    (tmp_path / "checkpoint").write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint is no T5X index"):
        load(tmp_path)
