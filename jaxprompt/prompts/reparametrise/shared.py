"""One prompt for a whole bank, whose members differ by their heads alone."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxprompt.prompts.prompt import Prompt


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Shared:
    """A bank whose members all read the mean of their prompts, and learn it together.

    Attributes:
        prompt: A copy for each member, so that members stay what an optimizer knows.
        weights: How much each member's loss counts in what is learned, 1 in the mean;
            None where all count alike.

    Source: P-tuning-v2's multi-task learning: one prompt and a head for each data set
    (Liu et al. 2022, sec. 3.2, arXiv:2110.07602).
    """

    prompt: Prompt
    weights: tuple[float, ...] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )

    @property
    def members(self) -> int:
        """The number M of prompts in the bank."""
        return self.prompt.members

    def expand(self) -> Prompt:
        """Gives every member the mean."""
        return jax.tree.map(self._mean, self.prompt)

    def _mean(self, leaf: Array) -> Array:
        mean = jnp.broadcast_to(leaf.mean(axis=0, keepdims=True), leaf.shape)
        if self.weights is None:
            return mean
        # The same value, of which the gradient is multiplied.
        weights = jnp.array(self.weights).reshape(-1, *[1] * (leaf.ndim - 1))
        kept = jax.lax.stop_gradient(mean)
        return kept + weights * (mean - kept)


def shared(key: jax.Array, prompt: Prompt) -> Shared:
    """Makes a member of a bank of one prompt.

    Args:
        key: Not used: nothing is drawn.
        prompt: A bank of one.
    """
    del key
    return Shared(prompt)


def weighted(trained: Shared, sizes: Sequence[int], temperature: float) -> Shared:
    """Lets each member count by the size of its data.

    Every batch has as many rows of each member. In the mean over batches the weights
    make the gradient that sampling the members in these proportions makes, with less
    noise.

    Args:
        trained: A bank.
        sizes: Training examples of each member.
        temperature: Members count as size ** (1 / temperature): 1 is in proportion, and
            the larger it is, the more alike they count.

    Source: Raffel et al. 2020, sec. 3.5.2 (arXiv:1910.10683), without its limit.
    """
    counts = [size ** (1 / temperature) for size in sizes]
    total = sum(counts) / len(counts)
    return Shared(trained.prompt, tuple(count / total for count in counts))
