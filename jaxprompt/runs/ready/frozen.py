"""A frozen model on its devices: one for any number of tasks and prompts."""

import dataclasses
import functools

import jax
import numpy as np
from jaxtyping import Int

from jaxprompt.config.settings import Model
from jaxprompt.data.vocabulary.vocabulary import (
    Vocabulary,
    load_vocabulary,
    rowless_note,
)
from jaxprompt.evaluate.evaluation_set import Scores
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import Checkpoint, read_params, storage_note
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.prompts.trained import Trained
from jaxprompt.runs.ready.computing import attention_of, use_precision
from jaxprompt.screen.terminal import say
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import (
    RULES,
    RULES_OVER_DATA,
    Rules,
    fetch,
    place,
    place_whole_batch,
)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A model that is loaded. It knows no task: any number of jobs share it.

    Attributes:
        mesh: The devices.
        backbone: The model's functions.
        model: The weights, in their places.
        vocabulary: Turns texts into ids and back.
        folds: Whether a decoder reads once what stands in front of every row.
    """

    mesh: jax.sharding.Mesh
    backbone: Backbone
    model: Params
    vocabulary: Vocabulary
    folds: bool = True

    def join(self, prompt: Trained, head: Params | None = None) -> Params:
        """Makes the joined tree of `shapes.Params`, every leaf in its place.

        Args:
            prompt: Of M members.
            head: The weights of their heads; None for a head that has none.
        """
        whole = jax.tree.map(fetch, {"prompt": prompt, "head": head or {}})
        return {"model": self.model, **place(whole, self.mesh)}

    def soft_ids(self, length: int) -> Int[np.ndarray, " ids"]:
        """Returns the ids that stand for a prompt of this length in a row, int32."""
        return prefix(self.backbone.vocab_rows, length)

    def place_batch(self, batch: Batch) -> Batch:
        """Moves a batch that every host has whole to the devices."""
        return place_whole_batch(batch, self.mesh)

    def unfolded(self) -> "Frozen":
        """Returns the model with every token of a text in its row."""
        return dataclasses.replace(self, folds=False)


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A model whose files are found; its weights are read when they are asked for.

    Attributes:
        settings: Which model, and how it is to be loaded.
        checkpoint: Its files.
    """

    settings: Model
    checkpoint: Checkpoint

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """Turns texts into ids and back; ValueError if the checkpoint has none."""
        return vocabulary_of(self.checkpoint)

    @functools.cached_property
    def backbone(self) -> Backbone:
        """Its functions, without a mesh. The first time, its weights are hashed."""
        return open_backbone(
            self.checkpoint,
            dtype=self.settings.dtype,
            dropout=self.settings.dropout,
            remat=self.settings.remat,
        )

    def load(self, mesh: jax.sharding.Mesh) -> Frozen:
        """Reads the weights onto the devices, if that has not happened yet."""
        attention = attention_of(self.settings, self.checkpoint.config, mesh)
        backbone = dataclasses.replace(self.backbone, mesh=mesh, attention=attention)
        return Frozen(mesh, backbone, self.weights(mesh), self.vocabulary)

    def weights(self, mesh: jax.sharding.Mesh) -> Params:
        """Reads the weights onto the devices, once for each mesh."""
        use_precision(self.settings, mesh)
        if mesh not in self._weights:
            self._weights[mesh] = self._read(mesh)
        return self._weights[mesh]

    @functools.cached_property
    def known(self) -> dict[str, Scores]:
        """What was measured of the model alone; see `Job.known`."""
        return {}

    @functools.cached_property
    def _weights(self) -> dict[jax.sharding.Mesh, Params]:
        return {}

    def _read(self, mesh: jax.sharding.Mesh) -> Params:
        quantise = self.settings.quantise
        note = storage_note(self.checkpoint, self.settings.dtype, quantise)
        if note:
            say(f"jaxprompt: {note}", problem=True)
        return read_params(
            self.checkpoint,
            self.settings.dtype,
            mesh,
            sharding_rules(self.settings),
            quantise=quantise,
        )


def open_model(settings: Model) -> OpenedModel:
    """Finds a model's files, and reads its vocabulary.

    Args:
        settings: Which model, and how it is to be loaded.

    Raises:
        ValueError: If no model is named, or it cannot be used.
        FileNotFoundError: If a file is missing.
    """
    model = find_model(settings)
    _ = model.vocabulary  # It is refused here that there is none.
    return model


def find_model(settings: Model) -> OpenedModel:
    """Finds a model's files; its vocabulary is read when it is asked for.

    Args:
        settings: Which model, and how it is to be loaded.

    Raises:
        ValueError: If no model is named, or it cannot be used.
        FileNotFoundError: If a file is missing.
    """
    check_named(settings)
    checkpoint = find_checkpoint(
        str(settings.name), revision=settings.revision, vocabulary=settings.vocabulary
    )
    return OpenedModel(settings, checkpoint)


def check_named(settings: Model) -> None:
    """Raises ValueError unless a model is named."""
    if settings.name is None:
        raise ValueError(
            "no model: give a Hub name or a folder, as "
            "--gin.MODEL=google/t5-small-lm-adapt"
        )


def sharding_rules(settings: Model) -> Rules:
    """Returns which devices split which weights."""
    return RULES_OVER_DATA if settings.weights_over_data else RULES


def vocabulary_of(checkpoint: Checkpoint) -> Vocabulary:
    """Loads a checkpoint's vocabulary, and notes tokens that have no row.

    Raises:
        ValueError: If it has none.
    """
    if checkpoint.vocabulary is None:
        raise ValueError(
            f"{checkpoint.name} has no vocabulary: give its spiece.model, as "
            "--gin.VOCABULARY=spiece.model"
        )
    config = checkpoint.config
    vocabulary = load_vocabulary(
        checkpoint.vocabulary,
        causal=config.causal,
        encoder_only=config.encoder_only,
        rows=config.text_rows,
    )
    note = rowless_note(vocabulary)
    if note:
        say(f"jaxprompt: {checkpoint.name}: {note}", problem=True)
    return vocabulary
