"""Teach a frozen language model a new task by learning a handful of vectors.

The names below are the public face. Each is imported when it is first used: importing
the package imports neither JAX nor TensorFlow.
"""

# What is imported here is imported before the command hears Ctrl-C: so nothing is.
TYPE_CHECKING = False  # As `typing` has it: type checkers take it for true.
if TYPE_CHECKING:
    from typing import Any

    from jaxprompt.data.official.tasks import load_task
    from jaxprompt.data.rows.batches import train_batches
    from jaxprompt.data.rows.layout import Lengths
    from jaxprompt.data.rows.sample import Sample
    from jaxprompt.data.tasks.own import file_task
    from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
    from jaxprompt.evaluate.evaluation_set import EvaluationSet
    from jaxprompt.evaluate.score import make_predict
    from jaxprompt.interactive.model import FrozenModel, load
    from jaxprompt.interactive.result import TuningResult
    from jaxprompt.interactive.tune import tune
    from jaxprompt.models.weights.save import save
    from jaxprompt.prompts.file import load_prompt, save_prompt
    from jaxprompt.prompts.init import init_prompt
    from jaxprompt.prompts.join import embed
    from jaxprompt.prompts.prompt import Prompt, stack, unstack
    from jaxprompt.prompts.provenance import check_backbone
    from jaxprompt.prompts.soft_ids import prefix
    from jaxprompt.shapes import Batch
    from jaxprompt.sharding import make_mesh, place
    from jaxprompt.train.optimizer import adafactor, train_only
    from jaxprompt.train.step import init_state, make_train_step

_HOMES = {
    "data.rows.batches": ("train_batches",),
    "data.rows.sample": ("Sample",),
    "evaluate.evaluation_set": ("EvaluationSet",),
    "data.tasks.own": ("file_task",),
    "data.rows.layout": ("Lengths",),
    "data.official.tasks": ("load_task",),
    "data.vocabulary.vocabulary": ("load_vocabulary",),
    "evaluate.score": ("make_predict",),
    "interactive.model": ("FrozenModel", "load"),
    "interactive.result": ("TuningResult",),
    "interactive.tune": ("tune",),
    "models.weights.save": ("save",),
    "prompts.file": ("load_prompt", "save_prompt"),
    "prompts.init": ("init_prompt",),
    "prompts.join": ("embed",),
    "prompts.prompt": ("Prompt", "stack", "unstack"),
    "prompts.provenance": ("check_backbone",),
    "prompts.soft_ids": ("prefix",),
    "shapes": ("Batch",),
    "sharding": ("make_mesh", "place"),
    "train.optimizer": ("adafactor", "train_only"),
    "train.step": ("init_state", "make_train_step"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "EvaluationSet",
    "FrozenModel",
    "Lengths",
    "Prompt",
    "Sample",
    "TuningResult",
    "__version__",
    "adafactor",
    "check_backbone",
    "embed",
    "file_task",
    "init_prompt",
    "init_state",
    "load",
    "load_prompt",
    "load_task",
    "load_vocabulary",
    "make_mesh",
    "make_predict",
    "make_train_step",
    "place",
    "prefix",
    "save",
    "save_prompt",
    "stack",
    "train_batches",
    "train_only",
    "tune",
    "unstack",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxprompt' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"jaxprompt.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
