"""A small random BERT whose words are letters, for tests that score with heads."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.weights.save import save

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]


def save_letters_bert(folder: Path, *, positions: int = 64) -> None:
    """Writes bert/, a checkpoint with a pooler and a masked-LM head, and vocab.txt.

    Its weights are drawn by NumPy, which compiles nothing.
    """
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    config = BertConfig(
        vocab_size=len(WORDS),
        width=16,
        heads=2,
        ffn_width=24,
        layers=2,
        positions=positions,
        fills=True,
    )
    bert = Encoder(config, vocabulary=str(folder / "vocab.txt"))
    draw = np.random.default_rng(0)
    weights = jax.tree.map_with_path(
        lambda path, leaf: (
            jnp.ones(leaf.shape)
            if path[-1].key == "scale"
            else jnp.asarray(draw.normal(0.0, 0.3, leaf.shape), leaf.dtype)
        ),
        jax.eval_shape(bert.init, jax.random.key(0)),
    )
    save(folder / "bert", bert, weights)
