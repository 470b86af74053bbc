"""Live comparison with PyTorch transformers, of real folders and of saved ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.load import load
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.save import save

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def logits_of_both(folder, rows):
    """Scores a padded batch by the folder in both libraries, real targets only."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(2, rows, (3, 150)), rng.integers(2, rows, (3, 12))
    inputs[1, 60:], inputs[2, 3:], targets[1, 5:] = 0, 0, 0
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    shifted = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
    with torch.no_grad():
        theirs = model(
            input_ids=torch.tensor(inputs),
            attention_mask=torch.tensor(inputs > 0).long(),
            decoder_input_ids=torch.tensor(shifted),
        ).logits.numpy()
    backbone, params = load(folder)
    table = backbone.table(params)
    ours = jax.jit(backbone.logits)(
        params,
        Tokens(table[inputs], jnp.asarray(inputs > 0, jnp.int32)),
        Tokens(table[shifted], jnp.asarray(targets > 0, jnp.int32)),
    )
    return np.asarray(ours)[targets > 0], theirs[targets > 0]


def test_the_real_folder_scores_as_in_pytorch(shared):
    folder = shared / "backbones" / "t5-nano-lm-adapt"
    ours, theirs = logits_of_both(folder, 8000)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("variant", ["t5_1_0", "t5_1_1", "t5_1_1_tied", "mt5"])
def test_a_saved_folder_scores_as_in_pytorch(golden, tmp_path, variant):
    save(tmp_path / "saved", *load(golden(variant).folder))
    ours, theirs = logits_of_both(tmp_path / "saved", 64)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "has_head"),
    [
        ({}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": False, "scale_decoder_outputs": True}, True),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, True),
    ],
)
def test_tied_and_scaled_mean_what_they_mean_in_pytorch(golden, settings, has_head):
    golden = golden("t5_1_1")
    weights, config = golden.weights(), golden.config()
    if not has_head:
        del weights["lm_head.weight"]
    del config["tie_word_embeddings"], config["scale_decoder_outputs"]
    folder = golden.write(weights, {**config, **settings})
    ours, theirs = logits_of_both(folder, 64)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_t5x_checkpoint_scores_as_in_pytorch_once_saved(shared, tmp_path):
    checkpoints = shared / "data" / "checkpoints"
    backbone, params = load(checkpoints / "t5x_test_t5_1_1_tiny" / "checkpoint_3")
    save(tmp_path / "saved", backbone, params)
    ours, theirs = logits_of_both(tmp_path / "saved", backbone.vocab_rows)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
