"""The optimizer of a run, from its settings."""

import optax

from jaxprompt.config import Run
from jaxprompt.train.optimizer import (
    MASKS,
    adafactor,
    adamw,
    clipped,
    embeddings_at,
    make_schedule,
    train_only,
)


def make_optimizer(run: Run) -> optax.GradientTransformationExtraArgs:
    """Makes the run's optimizer, which changes nothing but what trains.

    Args:
        run: The configuration.

    Raises:
        ValueError: If a number is out of range.
    """
    settings = run.optimizer
    schedule = make_schedule(
        settings.schedule,
        settings.learning_rate,
        steps=run.pace.steps,
        warmup=settings.warmup,
        falls_to=settings.falls_to,
        falls_every=settings.falls_every,
    )
    if settings.kind == "adamw":
        tx = adamw(
            schedule,
            weight_decay=settings.weight_decay,
            beta1=settings.beta1,
            beta2=settings.beta2,
            epsilon=settings.epsilon,
        )
    else:
        tx = adafactor(
            schedule,
            weight_decay=settings.weight_decay,
            decay_rate=settings.decay_rate,
            decay_offset=settings.decay_offset,
            parameter_scale=settings.parameter_scale,
        )
    tx = embeddings_at(tx, settings.embedding_share)
    return train_only(clipped(tx, settings.clip_norm), MASKS[run.trains])
