"""A run on int8 weights: from the gin name to the page, and back to float32."""

from pathlib import Path

import pytest
from tiny import save_tiny

from jaxprompt.command.configure import configure
from jaxprompt.config import Model, Run
from jaxprompt.runs import evaluate, train

FILES = ["gin/runs/prompt_tuning.gin", "gin/tasks/mini_sentiment.gin"]
SETTINGS = [
    *("MODEL='model'", "METHOD='rank'", "INPUT_LENGTH=16", "STEPS=2", "BATCH_SIZE=8"),
    *("PROMPT_LENGTH=4", "EVALUATE_EVERY=2", "Evaluation.num_examples=8"),
]


def test_a_prompt_trains_on_int8_weights_and_is_scored_on_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_tiny(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    run, config = configure(FILES, [*SETTINGS, "QUANTISE='int8'"])
    assert run.model.quantise == "int8"
    result = train(run, tmp_path / "run", config=config)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "int8" in page
    again = evaluate(run, tmp_path / "run" / "prompt.safetensors")
    assert again["score"] == result["score"]
    plain, _ = configure(FILES, SETTINGS)
    other = evaluate(plain, tmp_path / "run" / "prompt.safetensors")
    assert other["examples"] == result["examples"]


def test_model_tuning_needs_weights_that_can_take_small_steps():
    with pytest.raises(ValueError, match=r"model tuning with int8 .*quantise 'none'"):
        Run(trains="model", model=Model(quantise="int8"))


def test_an_unknown_quantisation_is_refused():
    with pytest.raises(ValueError, match=r"quantisation 'int4': use one of \['none'"):
        Model(quantise="int4")  # pyright: ignore[reportArgumentType]
