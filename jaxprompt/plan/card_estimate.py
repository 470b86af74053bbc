"""What a mesh of GPUs comes to, from shapes alone: no compiler for them is here."""

import jax

from jaxprompt.config import Run
from jaxprompt.models.config import Config
from jaxprompt.plan.cards import Cards
from jaxprompt.plan.estimate import (
    Estimate,
    Memory,
    bytes_of_chip,
    planned_attention,
    work_of_chip,
)
from jaxprompt.plan.held import count_held
from jaxprompt.plan.program import make_program
from jaxprompt.sharding import DATA, MODEL


def estimate_cards(
    run: Run, config: Config, step: str, mesh: jax.sharding.AbstractMesh, cards: Cards
) -> Estimate:
    """Counts what a step takes on each card of a mesh.

    Weights are as `sharding` splits them. Temporaries are those of one device with its
    share of the rows, and of all of the weights: at most what a card of a model axis
    has. cuDNN's attention is counted as chunked, which holds more. What cards send each
    other is not counted.

    Args:
        run: The configuration, with the rematerialisation to try.
        config: Sizes of its model.
        step: One of `program.STEPS`.
        mesh: Sizes of the grid, from `sharding.abstract_mesh`.
        cards: What it is made of.

    Returns:
        The numbers; time is that of a roofline: see docs/plan.md.

    Raises:
        ValueError: If the mesh does not divide the rows or the model.
    """
    attention = planned_attention(run, config, cards.device)
    if attention == "cudnn":  # It cannot be traced where there is no cuDNN.
        attention = "chunked"
    placed = make_program(run, config, step, mesh, attention=attention)
    data, model = mesh.shape[DATA], mesh.shape[MODEL]
    alone = make_program(run, config, step, None, attention=attention, split_rows=data)
    temporaries = count_held(alone.function, *alone.arguments)
    peak = bytes_of_chip(placed.arguments) + temporaries
    work = work_of_chip(run, config, step, data, model, attention)
    rate = cards.card.rate(run.model.dtype, run.model.precision)
    return Estimate(
        data=data,
        model=model,
        remat=run.model.remat,
        memory=Memory(bytes_of_chip(placed.weights), temporaries, peak),
        fits=peak <= cards.memory,
        flops=work.flops,
        seconds={
            "compute": work.flops / rate,
            "memory": work.traffic / cards.card.bandwidth,
        },
    )
