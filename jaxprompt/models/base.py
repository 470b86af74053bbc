"""What models of all kinds share: sizes, where they are from, how they compute."""

import dataclasses
from typing import Generic, TypeVar

import jax

from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.config import Config
from jaxprompt.models.options import Remat, check_options
from jaxprompt.models.quantise import Table
from jaxprompt.shapes import Params

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclasses.dataclass(frozen=True)
class Base(Generic[ConfigT]):
    """A frozen model: static and hashable, its weights are arguments.

    Attributes:
        config: Sizes and switches.
        name: Hub name or folder name, for provenance.
        revision: Commit of the Hub repository; None for a folder.
        fingerprint: Identity of the checkpoint, from `fingerprint.fingerprint`.
        first_fingerprint: The same by the rule of version 1, for files that hold it.
        vocabulary: Path of `spiece.model`, or of a folder with `tokenizer.json`, or
            with the files of another tokenizer.
        dtype: Dtype to compute in; logits, scores, softmax and norms are float32.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again; see `options.Remat`.
        unroll: Compile each layer on its own rather than one loop over layers.
        attention: The form of its attention, from `attention_form.choose_form`.
        mesh: Devices over whose data axis activations stay split, layer for layer, and
            logits over the model axis too; None leaves that to the compiler.

    Raises:
        ValueError: If dtype, dropout, remat or attention is none of those there are, or
            the config has no vocabulary yet.
    """

    config: ConfigT
    name: str = ""
    revision: str | None = None
    fingerprint: str = ""
    first_fingerprint: str = ""
    vocabulary: str | None = None
    dtype: str = "float32"
    dropout: float = 0.0
    remat: Remat = "none"
    unroll: bool = False
    attention: AttentionForm = "chunked"
    mesh: jax.sharding.Mesh | None = None

    def __post_init__(self) -> None:
        check_options(self.dtype, self.dropout, self.remat, self.attention)
        if self.config.vocab_rows < 1:
            raise ValueError(
                f"{type(self.config).__name__} of 0 vocab_rows: set its vocabulary's "
                "size, or use for_vocabulary"
            )

    @property
    def causal(self) -> bool:
        """Whether the model has a decoder only."""
        return self.config.causal

    @property
    def width(self) -> int:
        """Model width D."""
        return self.config.width

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        return self.config.vocab_rows

    def table(self, params: Params) -> Table:
        """Returns the frozen embedding table, as it is stored."""
        return params["embedding"]
