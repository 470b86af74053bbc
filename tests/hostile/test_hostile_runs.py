"""A mistake in a run's settings costs nothing: no file, no folder, no name taken."""

from pathlib import Path

import jax
import numpy as np
import pytest
from faults_setting import Done, Setting, call, write_data, write_gin, write_model


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    setting = Setting(tmp_path_factory.mktemp("setting"))
    write_model(setting.model)
    write_data(setting.data)  # 64 rows to train, 16 to validate.
    write_gin(setting.gin, setting.model, setting.data)
    return setting


def train(setting: Setting, workdir: Path, *values: str) -> Done:
    flags = [f"--gin.{value}" for value in values]
    return call("train", f"--gin_file={setting.gin}", f"--workdir={workdir}", *flags)


MISTAKES = {
    "INPUT_LENGTH=0": "lengths inputs=0, targets=2: both must be 1 or more",
    "INPUT_LENGTH=-3": "lengths inputs=-3",
    "TARGET_LENGTH=0": "lengths inputs=16, targets=0",
    "TARGET_LENGTH=-1": "lengths inputs=16, targets=-1",
    "TARGET_LENGTH=1": "label 'yes' takes 2 tokens",
    "BATCH_SIZE=100000": "the 64 examples of split 'train' of task question do not",
    "BATCH_SIZE=0": "batch size 0 is not divisible",
    "BATCH_SIZE=-8": "batch size -8",
    "BATCH_SIZE=64 Data.pack=True PROMPT_LENGTH=2 INPUT_LENGTH=64": "do not fill a bat",
    "TRAINS='model' BATCH_SIZE=100000": "do not fill a batch of 100000 rows",
    "PROMPT_LENGTH=0": "prompt length 0",
    "PROMPT_INIT='vocabulary'": "100 prompt rows cannot be sampled",
    "PROMPT_INIT='text'": "text initialisation needs text",
    "STEPS=0": "0 steps: a run has 1 or more",
    "WARMUP=32": "warmup of 32 steps in a run of 32",
    "SCHEDULE='linear' WARMUP=-1": "warmup of -1 steps",
    "LEARNING_RATE=0": "learning rate 0",
    "ACCUMULATE=0": "accumulate 0",
    "EVALUATE_EVERY=-1": "evaluate_every -1: use 0, for never, or more",
    "CHECKPOINT_EVERY=-1": "checkpoint_every -1",
    "PATIENCE=-1": "patience -1",
    "DROPOUT=1.0": "dropout 1.0: use a rate from 0",
    "DROPOUT=-0.1": "dropout -0.1",
    "Optimizer.kind='adamw' Optimizer.beta2=1.0": "beta2 1.0",
    "Optimizer.weight_decay=-1.0": "weight decay -1.0",
    "Optimizer.clip_norm=-1.0": "clip norm -1.0",
    "Data.train_split='none'": "no split 'none' in task question",
    "Data.validation_split='none'": "no split 'none' in task question",
    "Data.test_split='none'": "no split 'none' in task question",
    "METHOD='beam' Evaluation.beams=0": "beams 0",
    "METHOD='nucleus' Evaluation.top_p=0.0": "top_p 0.0",
    "METHOD='nucleus' Evaluation.temperature=0.0": "temperature 0.0",
    "Evaluation.num_examples=0": "num_examples 0: use 1 or more, or None for all",
    "Evaluation.decode_length=0": "decode_length 0",
    "SEED=4294967296": "seed 4294967296, seeds 1: use 0 or more, and none from",
    "EXAMPLES_IN_INPUT=65": "65 shots, but split 'train' of task question has 64 rows",
}
"""Settings -> what is said of them."""


@pytest.mark.parametrize("values", MISTAKES)
def test_a_mistake_leaves_nothing_behind(setting: Setting, tmp_path: Path, values: str):
    workdir = tmp_path / "run"
    train(setting, workdir, *values.split()).expect_refusal(MISTAKES[values])
    assert not workdir.exists()


def test_a_run_that_saved_nothing_leaves_its_workdir_to_the_next(
    setting: Setting, tmp_path: Path
):
    workdir, short = tmp_path / "run", ("STEPS=2", "EVALUATE_EVERY=0")
    write_model(
        tmp_path / "broken", lambda params: jax.tree.map(lambda x: x * np.nan, params)
    )
    broken = train(setting, workdir, *short, f"MODEL='{tmp_path / 'broken'}'")
    broken.expect_refusal("step 1 has loss nan", "nothing was saved")
    corrected = train(setting, workdir, *short)
    assert corrected.status == 0, corrected.errors
    assert str(setting.model) in (workdir / "operative_config.gin").read_text()
    assert (workdir / "metrics.jsonl").read_text().count("\n") == 1
    page = (workdir / "report.html").read_text()
    assert "2 of 2, the last: no step was validated" in page
    assert "seconds of training<" in page
    # Now it is that run's.
    other = train(setting, workdir, *short, "LEARNING_RATE=0.2")
    other.expect_refusal("LEARNING_RATE was 0.3 and is 0.2")
