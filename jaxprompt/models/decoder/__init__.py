"""Decoder-only models of any family: what differs between families is data."""

from typing import TYPE_CHECKING, Any

from jaxprompt.models.decoder.config import DecoderConfig

if TYPE_CHECKING:
    from jaxprompt.models.decoder.model import Decoder


def make_decoder(config: DecoderConfig, **options: Any) -> "Decoder":
    """Makes a decoder of these sizes; what it computes with is imported only now."""
    from jaxprompt.models.decoder.model import Decoder

    return Decoder(config, **options)
