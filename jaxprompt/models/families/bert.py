"""BERT in Hugging Face folders, MiniLM among them; published sizes."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from jaxprompt.models.encoder import make_encoder
from jaxprompt.models.encoder.config import EncoderConfig
from jaxprompt.models.families.family import Family
from jaxprompt.models.families.forms.encoder_in_hugging_face import (
    TensorNames,
    hugging_face_form,
)

_HEAD = "cls.predictions"


@dataclasses.dataclass(frozen=True)
class BertConfig(EncoderConfig):
    """The sizes and switches that tell one BERT from another; see `EncoderConfig`."""

    family: ClassVar[str] = "BERT"


def _sizes(
    vocab_size: int, width: int, heads: int, layers: int, *, fills: bool = True
) -> BertConfig:
    return BertConfig(
        vocab_size=vocab_size,
        width=width,
        heads=heads,
        ffn_width=4 * width,
        layers=layers,
        fills=fills,
    )


_PUBLISHED: Mapping[str, BertConfig] = MappingProxyType(
    {
        "google-bert/bert-base-uncased": _sizes(30_522, 768, 12, 12),
        "google-bert/bert-large-uncased": _sizes(30_522, 1024, 16, 24),
        "google-bert/bert-base-cased": _sizes(28_996, 768, 12, 12),
        "google-bert/bert-large-cased": _sizes(28_996, 1024, 16, 24),
        "sentence-transformers/all-MiniLM-L6-v2": _sizes(
            30_522, 384, 12, 6, fills=False
        ),
    }
)
"""Hub name -> sizes and switches.

Source: Devlin et al. 2019, sec. 3 (arXiv:1810.04805); the published config.json of
all-MiniLM-L6-v2.
"""

FAMILY = Family(
    name=BertConfig.family,
    config=BertConfig,
    make=make_encoder,
    published=_PUBLISHED,
    hugging_face=hugging_face_form(
        TensorNames(
            body="bert.",
            fill=(
                f"{_HEAD}.transform.dense",
                f"{_HEAD}.transform.LayerNorm",
                f"{_HEAD}.bias",
            ),
            copies=(f"{_HEAD}.decoder.weight",),
            unused=(
                f"{_HEAD}.decoder.bias",
                "cls.seq_relationship.weight",
                "cls.seq_relationship.bias",
            ),
        ),
        model_type="bert",
        make=BertConfig,
        defaults={
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
            "pad_token_id": 0,
        },
        tokenizer_class="BertTokenizer",
        architecture="BertForPreTraining",
    ),
)
"""BERT, and models of its kind, as MiniLM."""
