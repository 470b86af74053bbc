"""Random decoders of published sizes, on which the benchmarks of causal models run."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch


@dataclasses.dataclass(frozen=True)
class SmallDecoder:
    """A decoder of random weights, and what a benchmark has to know of it.

    Attributes:
        config: Its sizes.
        gated: Whether its feed-forward layers have three matrices, and not two.
    """

    config: Any
    gated: bool

    def save_random(self, folder: Path) -> None:
        """Writes it as a Hugging Face folder."""
        backbone = Decoder(self.config)
        save(folder, backbone, backbone.init(jax.random.key(0)))

    def draw_prompts(self, members: int, length: int) -> np.ndarray:
        """Draws prompts for both sides, float32 [M, P, D], as large as words are."""
        rng = np.random.default_rng(0)
        shape = (members, length, self.config.width)
        return rng.normal(0.0, 0.02, shape).astype(np.float32)

    def prompted_batch(
        self, text: np.ndarray, targets: np.ndarray, length: int
    ) -> Batch:
        """Makes our batch of rows [B, T] and [B, L] behind a prompt of this length.

        The prompt's last token stands in the row, the others in front of all rows. What
        stands before the targets is their first input.
        """
        ids = prefix(self.config.vocab_rows, length)
        inputs = np.concatenate([np.tile(ids[-1:], (len(text), 1)), text], axis=1)
        behind = np.full((len(text), 1), NO_TOKEN)
        batch = unpacked_batch(np.concatenate([inputs[:, :-1], behind], 1), targets)
        target_inputs = np.concatenate([inputs[:, -1:], targets[:, :-1]], axis=1)
        return dataclasses.replace(
            batch,
            target_inputs=jax.numpy.asarray(target_inputs),
            lead=tuple(ids[:-1].tolist()),
        )

    def prompted_flops(self, rows: int, prompt: int, text: int, target: int) -> float:
        """Counts the least that a forward pass has to multiply and add, without norms.

        The prompt runs once and not for each row; the last target token runs for
        nothing. Every token attends to those before it and itself, half of a square.

        Args:
            rows: Rows B.
            prompt: Prompt length P, in tokens.
            text: Tokens of each row before its targets.
            target: Target tokens L of each row.
        """
        config, own = self.config, text + target - 1
        (site,) = config.sites.values()
        queries = config.heads * site.head_width
        keys = site.kv_heads * site.head_width
        tokens = prompt + rows * own
        pairs = prompt**2 / 2 + rows * (own * prompt + own**2 / 2)
        matrices = 3 if self.gated else 2
        weights = config.width * (2 * queries + 2 * keys + matrices * config.ffn_width)
        head = rows * target * config.width * config.vocab_size
        return 2.0 * (config.layers * (tokens * weights + 2 * pairs * queries) + head)


GPT2 = SmallDecoder(
    GPT2Config(
        vocab_size=50257, width=768, heads=12, ffn_width=3072, layers=12, positions=1024
    ),
    gated=False,
)
"""GPT-2 small."""

SMOLLM2 = SmallDecoder(PUBLISHED["HuggingFaceTB/SmolLM2-135M"], gated=True)
"""SmolLM2 of 135 million weights."""
