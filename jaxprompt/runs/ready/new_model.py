"""A new model of random weights, which a run is to train from the start."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.config import COOCCURRENCE, Run
from jaxprompt.data.pretraining.cooccurrence import cooccurrence_rows
from jaxprompt.data.pretraining.passages import TextSource
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary
from jaxprompt.models.config import Config
from jaxprompt.models.families import make_backbone
from jaxprompt.runs.ready.computing import attention_of, use_precision
from jaxprompt.runs.ready.frozen import Frozen, sharding_rules
from jaxprompt.sharding import place


def vocabulary_of_new(run: Run, architecture: Config) -> Vocabulary:
    """Loads the vocabulary that a new model is to have.

    Raises:
        ValueError: If none is named, or it cannot be read.
        FileNotFoundError: If its file is missing.
    """
    if run.model.vocabulary is None:
        raise ValueError(
            "a new model has no vocabulary: train one with "
            "gin/recipes/nano/tokenizer.gin, and give it as "
            "--gin.VOCABULARY=runs/tokenizer/spiece.model"
        )
    return load_vocabulary(run.model.vocabulary, causal=architecture.causal)


def draw_model(
    run: Run, architecture: Config, task: Task, mesh: jax.sharding.Mesh
) -> Frozen:
    """Draws a new model's weights, which the run's seed decides.

    Args:
        run: The configuration.
        architecture: The model's sizes; its vocabulary's follow from the task.
        task: What it is to be trained on.
        mesh: The devices.

    Raises:
        ValueError: If the embeddings are to be made of a text, and the task has none.
    """
    backbone = make_backbone(
        architecture.for_vocabulary(task.vocabulary.vocab_size),
        vocabulary=run.model.vocabulary,
        dtype=run.model.dtype,
        dropout=run.model.dropout,
        remat=run.model.remat,
    )
    use_precision(run.model, mesh)
    params = backbone.init(jax.random.key(run.seed))
    if run.model.embeddings == COOCCURRENCE:
        if not isinstance(task.source, TextSource):
            raise ValueError(
                f"Model.embeddings {COOCCURRENCE!r} needs a TextTask, whose text is "
                f"counted; the task is {task.name}: use 'random'"
            )
        texts = task.source.texts(run.data.train_split)
        rows = cooccurrence_rows(texts, task.vocabulary, backbone.width)
        table = params["embedding"].at[jnp.array(list(rows))]
        params = {**params, "embedding": table.set(np.stack(list(rows.values())))}
    attention = attention_of(run.model, backbone.config, mesh)
    backbone = dataclasses.replace(backbone, mesh=mesh, attention=attention)
    placed = place(params, mesh, sharding_rules(run.model))
    return Frozen(mesh, backbone, placed, task.vocabulary)
