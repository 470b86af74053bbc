"""Whether what a prompt is to start from fits it, told before any weights are read."""

from collections.abc import Sequence

import jax

from jaxprompt.config import Run
from jaxprompt.data.tasks.task import Task
from jaxprompt.models.config import Config
from jaxprompt.models.families import make_backbone
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.prompts import init
from jaxprompt.prompts.deep_start import DRAWN


def check_start(run: Run, config: Config, tasks: Sequence[Task]) -> None:
    """Refuses a file, words or a text that the prompts of a run cannot start from.

    Args:
        run: The configuration.
        config: What the model's sizes say.
        tasks: The run's tasks.

    Raises:
        ValueError: If the file holds a prompt of other sizes, or if the words or the
            text are empty or have more tokens than the prompt.
        FileNotFoundError: If there is no such file.
    """
    start = run.prompt
    table = jax.eval_shape(make_backbone(config).table, shapes_of(config))
    if start.init == "file":
        init.start_from_file(start.file, table.shape[1], start.length, start.deep)
        return
    wanted = {(start.init, start.length)} if start.length else set()
    if start.deep_init != DRAWN:
        wanted |= {(start.deep_init, length) for length in start.deep.values()}
    for task in tasks:
        for method, length in sorted(wanted):
            init.check_fit(
                method,
                table,
                length=length,
                top=start.top,
                words=tuple(start.words) or task.start_words,
                text=start.text,
                encode=task.vocabulary.encode,
            )
