"""A head for answers that stand in a text: scores of tokens to begin and end one."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxprompt.data.tasks.answers.spans import (
    BEST,
    END,
    FIRST,
    LAST,
    NEVER,
    NOWHERE,
    START,
)
from jaxprompt.heads.head import Losses, losses_of, places_of
from jaxprompt.heads.labels import LabelsHead
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


@dataclasses.dataclass(frozen=True)
class SpansHead(LabelsHead):
    """A linear layer of two columns over the states of all tokens.

    An answer begins and ends at tokens of the text, or both times at the token that
    stands for no answer.

    Attributes:
        longest: Most tokens of an answer that is found.

    Source: Devlin et al. 2019, sec. 4.2 and 4.3 (arXiv:1810.04805): softmax over the
    tokens of the text; a span's score is the sum of those of its ends.
    """

    name: str = "spans"
    count: int = 2
    longest: int = 30

    def pooled(
        self, states: Float[Array, "B T D"], batch: Batch
    ) -> Float[Array, "B T D"]:
        """Returns all states."""
        del batch
        return states

    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B 2 T"]:
        """Scores every token as the first and as the last of the answer; float32."""
        scores_BTC = super().scores(backbone, params, batch, dropout_key=dropout_key)
        t_1T = jnp.arange(scores_BTC.shape[1])[None]
        may_BT = _of_text(batch) | (t_1T == places_of(batch)[:, NOWHERE, None])
        return jnp.where(may_BT[:, None], scores_BTC.swapaxes(1, 2), 10 * NEVER)

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores the true first and last token; see `Head.losses`."""
        scores_B2T = self.scores(backbone, params, batch, dropout_key=dropout_key)
        places_BL = places_of(batch)
        found = losses_of(scores_B2T, jnp.maximum(places_BL[:, [START, END]], 0))
        # The other targets are not learnt: their weights are 0.
        rest = ((0, 0), (0, places_BL.shape[1] - 2))
        return Losses(*(jnp.pad(one, rest) for one in found))

    def find(
        self, backbone: Backbone, params: Params, batch: Batch
    ) -> Float[Array, "B S 3"]:
        """Returns no answer and the best spans of each row; float32.

        Each is its first and last token, counted from the first one of the text, and
        the sum of their scores. Where a text has fewer spans, the others score below
        `NEVER`. The first of all is no answer, whose tokens mean nothing.
        """
        scores_B2T = self.scores(backbone, params, batch)
        places_BL, of_text_BT = places_of(batch), _of_text(batch)
        nowhere_B1 = jnp.maximum(places_BL[:, NOWHERE, None], 0)
        none_B2 = jnp.take_along_axis(scores_B2T, nowhere_B1[:, None], axis=2)[..., 0]
        first_BT, last_BT = jnp.moveaxis(
            jnp.where(of_text_BT[:, None], scores_B2T, 10 * NEVER), 1, 0
        )
        ends_BTA = jnp.stack(
            [
                jnp.pad(
                    last_BT[:, more:],
                    ((0, 0), (0, min(more, last_BT.shape[1]))),
                    constant_values=10 * NEVER,
                )
                for more in range(self.longest)
            ],
            axis=-1,
        )
        spans_BS = (first_BT[..., None] + ends_BTA).reshape(len(first_BT), -1)
        score_BK, flat_BK = jax.lax.top_k(spans_BS, min(BEST, spans_BS.shape[1]))
        start_BK = flat_BK // self.longest - places_BL[:, FIRST, None]
        end_BK = start_BK + flat_BK % self.longest
        spans_BK3 = jnp.stack([start_BK, end_BK, score_BK], axis=-1)
        none_B3 = jnp.pad(none_B2.sum(axis=-1, keepdims=True), ((0, 0), (2, 0)))
        return jnp.concatenate([none_B3[:, None], spans_BK3], axis=1)

    def likely(
        self, backbone: Backbone, params: Params, batch: Batch
    ) -> Float[Array, "B 0"]:
        """Returns nothing: scores are among what is found."""
        del backbone, params
        return jnp.zeros((len(batch.inputs), 0))


def _of_text(batch: Batch) -> Bool[Array, "B T"]:
    """Tells which tokens of a row are of the text that holds the answer."""
    places_BL, t_1T = places_of(batch), jnp.arange(batch.inputs.shape[1])[None]
    first_B1, last_B1 = places_BL[:, FIRST, None], places_BL[:, LAST, None]
    return (t_1T >= first_B1) & (t_1T <= last_B1)
