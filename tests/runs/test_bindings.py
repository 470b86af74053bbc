"""gin text is read as a run wrote it."""

import dataclasses

from jaxprompt.command.configure import configure
from jaxprompt.config import CONFIGURABLES
from jaxprompt.runs.keep.bindings import read_bindings, resolve_bindings
from jaxprompt.runs.publish.methods import FREE

TEXT = """\
# Macros:
# ======
OBJECTIVES = \\
    {'deshuffle': 0.5,
     'fitting_word': 2.5}
SEED = 3

# Parameters for Run:
# ======
Run.seed = %SEED
Run.steps = 10
a/Task.words = %OBJECTIVES
Task.other = %NOWHERE
"""


def test_a_value_is_whole_however_many_lines_it_has():
    assert read_bindings(TEXT) == {
        "OBJECTIVES": "{'deshuffle': 0.5, 'fitting_word': 2.5}",
        "SEED": "3",
        "Run.seed": "%SEED",
        "Run.steps": "10",
        "a/Task.words": "%OBJECTIVES",
        "Task.other": "%NOWHERE",
    }


def test_macros_give_way_to_their_values():
    assert resolve_bindings(TEXT) == {
        "Run.seed": "3",
        "Run.steps": "10",
        "a/Task.words": "{'deshuffle': 0.5, 'fitting_word': 2.5}",
        "Task.other": "%NOWHERE",
    }


def test_a_real_configuration_is_read():
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/mini_sentiment.gin"]
    _, config = configure(files, ["SEED=3", "PROMPT_LENGTH=7"])
    found = resolve_bindings(config)
    assert found["Run.seed"] == "3"
    assert found["PromptStart.length"] == "7"
    assert found["TASK/OwnTask.labels"] == "{'0': 'bad', '1': 'good'}"
    assert not [value for value in found.values() if value.startswith("%")]


def test_settings_that_make_no_other_method_exist():
    names = {
        f"{part.__name__}.{field.name}"
        for part in CONFIGURABLES
        for field in dataclasses.fields(part)
    }
    assert names >= FREE
