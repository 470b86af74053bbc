"""Encoder-only models of any family: what differs between families is data."""

from typing import TYPE_CHECKING, Any

from jaxprompt.models.encoder.config import EncoderConfig

if TYPE_CHECKING:
    from jaxprompt.models.encoder.model import Encoder


def make_encoder(config: EncoderConfig, **options: Any) -> "Encoder":
    """Makes an encoder of these sizes; what it computes with is imported only now."""
    from jaxprompt.models.encoder.model import Encoder

    return Encoder(config, **options)
