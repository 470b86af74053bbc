"""RoBERTa and XLM-R in Hugging Face folders; published sizes."""

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

_NAMES = TensorNames(
    body="roberta.",
    fill=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    copies=("lm_head.decoder.weight",),
    unused=("lm_head.decoder.bias",),
)
# What transformers takes where a config.json does not say; published ones all do.
_DEFAULTS = {"max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 1}


@dataclasses.dataclass(frozen=True)
class RobertaConfig(EncoderConfig):
    """The sizes and switches that tell one RoBERTa from another; see `EncoderConfig`.

    Raises:
        ValueError: As `EncoderConfig`; or if there is no padding, whose id says where
            positions begin, or no row for any other.
    """

    family: ClassVar[str] = "RoBERTa"

    positions: int = 514
    types: int = 1
    norm_epsilon: float = 1e-5
    pooler: bool = False
    pad_token_id: int | None = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pad_token_id is None or self.pad_token_id + 1 >= self.positions:
            raise ValueError(
                f"{self.family} pad_token_id {self.pad_token_id} in a table of "
                f"{self.positions} positions: the positions of a text begin behind it"
            )

    @property
    def first_position(self) -> int:
        """The row behind that of padding.

        Source: fairseq, `make_positions`.
        """
        return (self.pad_token_id or 0) + 1

    @property
    def fill_activation(self) -> str:
        """The exact GELU, whatever the layers have.

        Source: transformers' `RobertaLMHead`.
        """
        return "gelu"


@dataclasses.dataclass(frozen=True)
class XLMRobertaConfig(RobertaConfig):
    """The same computation, with another vocabulary."""

    family: ClassVar[str] = "XLM-R"


_ROBERTA: Mapping[str, RobertaConfig] = MappingProxyType(
    {
        "FacebookAI/roberta-base": RobertaConfig(50_265, 768, 12, 3072, 12, fills=True),
        "FacebookAI/roberta-large": RobertaConfig(
            50_265, 1024, 16, 4096, 24, fills=True
        ),
    }
)
"""Hub name -> sizes and switches. Source: Liu et al. 2019, sec. 3 and 5
(arXiv:1907.11692)."""

_XLM_R: Mapping[str, XLMRobertaConfig] = MappingProxyType(
    {
        "FacebookAI/xlm-roberta-base": XLMRobertaConfig(
            250_002, 768, 12, 3072, 12, fills=True
        ),
        "FacebookAI/xlm-roberta-large": XLMRobertaConfig(
            250_002, 1024, 16, 4096, 24, fills=True
        ),
    }
)
"""Hub name -> sizes and switches. Source: Conneau et al. 2020, sec. 3
(arXiv:1911.02116)."""

ROBERTA = Family(
    name=RobertaConfig.family,
    config=RobertaConfig,
    make=make_encoder,
    published=_ROBERTA,
    hugging_face=hugging_face_form(
        _NAMES,
        model_type="roberta",
        make=RobertaConfig,
        defaults=_DEFAULTS,
        tokenizer_class="RobertaTokenizer",
        architecture="RobertaForMaskedLM",
    ),
)
"""RoBERTa."""

XLM_R = Family(
    name=XLMRobertaConfig.family,
    config=XLMRobertaConfig,
    make=make_encoder,
    published=_XLM_R,
    hugging_face=hugging_face_form(
        _NAMES,
        model_type="xlm-roberta",
        make=XLMRobertaConfig,
        defaults=_DEFAULTS,
        tokenizer_class="XLMRobertaTokenizer",
        architecture="XLMRobertaForMaskedLM",
    ),
)
"""XLM-R: RoBERTa in a hundred languages."""
