"""Several prompt files at once: each answers as it does alone, or all are refused."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import Data, Evaluation, Model, OfficialTask, OwnTask, Run
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs import evaluate_ensemble, predict
from jaxprompt.runs.ready.together import check_together, score_settings, task_settings

SMALL = GPT2Config(
    vocab_size=6000, width=16, heads=2, ffn_width=24, layers=2, positions=64
)
TEXTS = ("", "rain", "a film of joy")
RUN = Run(
    model=Model(name="model"),
    data=Data(
        task=OwnTask(
            name="own",
            files={"train": "rows.jsonl", "validation": "rows.jsonl"},
            inputs="{ask}",
            target="say",
        ),
        input_length=8,
        target_length=4,
    ),
    evaluation=Evaluation(batch_size=8),
    batch_size=8,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random GPT-2, rows, and prompts of two and of three tokens."""
    folder = tmp_path_factory.mktemp("several")
    spiece = Path(resolve("bundled:nano")) / "spiece.model"
    size = int(load_vocabulary(spiece, causal=True).vocab_size)
    assert size == SMALL.vocab_size
    backbone = dataclasses.replace(Decoder(SMALL), vocabulary=str(spiece))
    draw = np.random.default_rng(0)
    model = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(backbone.init, jax.random.key(0)),
    )
    save(folder / "model", backbone, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        backbone = dataclasses.replace(backbone, name="model")
        for name, length in {"a": 3, "b": 3, "c": 2}.items():
            rows = draw.normal(0.0, 8.0, (length, 16))  # So that answers differ.
            prompt = make_prompt(jnp.asarray(rows))
            save_prompt(f"{name}.safetensors", prompt, backbone, task="own")
        rows = [{"ask": text, "say": "yes"} for text in TEXTS]
        Path("rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        yield


def answers(names: str, rows: list[dict[str, str]], run: Run = RUN) -> list[str]:
    """Answers rows with the prompts of these names."""
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(
        {Path(f"{name}.safetensors"): run for name in names},
        source="asked.jsonl",
        output="said.jsonl",
        overwrite=True,
        another_backbone=True,
    )
    said = Path("said.jsonl").read_text().splitlines()
    return [json.loads(line)["prediction"] for line in said]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param("ab", id="one length", marks=pytest.mark.long),
        pytest.param("cab", id="two lengths"),
    ],
)
def test_a_decoder_answers_each_row_by_its_own_prompt_alone(names: str):
    alone = {name: answers(name, [{"ask": text} for text in TEXTS]) for name in names}
    asked = [{"prompt": name, "ask": text} for text in TEXTS for name in names]
    expected = [alone[name][place] for place in range(len(TEXTS)) for name in names]
    assert answers(names, asked) == expected
    assert len({texts[0] for texts in alone.values()}) > 1


def test_who_looks_at_a_terminal_is_told_what_is_about_to_be_answered():
    def said(names: str, rows: list[dict[str, str]]) -> str:
        ours, theirs = os.openpty()
        with os.fdopen(theirs, "w") as terminal, redirect_stderr(terminal):
            answers(names, rows)
        text = os.read(ours, 10_000).decode()
        os.close(ours)
        return text

    line = said("a", [{"ask": text} for text in TEXTS])
    assert re.match(r"jaxprompt [\d.]+, JAX [\d.]+, on 1 x cpu: model model, ", line)
    assert line.strip().endswith("model model, chunked attention, prompt a, rows: 3")
    line = said("ab", [{"prompt": "a", "ask": "rain"}])
    assert line.strip().endswith("chunked attention, 2 prompts, rows: 1")


def test_a_sampled_answer_does_not_depend_on_the_other_rows_of_the_file():
    run = dataclasses.replace(RUN, evaluation=Evaluation(method="nucleus"))
    asked = [{"ask": text} for text in TEXTS]
    alone = answers("a", asked, run)
    assert answers("a", asked[:2], run) == alone[:2]
    shared = [{"prompt": name, **row} for name, row in zip("aba", asked, strict=True)]
    found = answers("ab", shared, run)
    assert [found[0], found[2]] == [alone[0], alone[2]]
    # The same text in another line is answered by chance, too.
    assert len(set(answers("a", [{"ask": ""}] * 4, run))) > 1


def changed(part: str, **fields: Any) -> Run:
    """The run with other settings in one of its parts."""
    return dataclasses.replace(
        RUN, **{part: dataclasses.replace(getattr(RUN, part), **fields)}
    )


A, B = Path("a.safetensors"), Path("b.safetensors")
TOGETHER = "a.safetensors and b.safetensors do not run together: "


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed("data", input_length=16), "Data.input_length is 8 and 16"),
        (changed("data", target_length=5), "Data.target_length is 4 and 5"),
        (changed("model", dtype="bfloat16"), "Model.dtype is 'float32' and 'bfloat16'"),
        (
            changed("evaluation", num_examples=2),
            "Evaluation.num_examples is None and 2",
        ),
        (
            changed(
                "data", task=dataclasses.replace(RUN.data.task, inputs="say {ask}")
            ),
            "OwnTask.inputs is '{ask}' and 'say {ask}'",
        ),
    ],
)
def test_an_ensemble_of_prompts_that_were_made_for_other_rows_is_refused(
    other: Run, message: str
):
    with pytest.raises(ValueError, match=re.escape(TOGETHER + message)):
        evaluate_ensemble({A: RUN, B: other})


def test_the_command_compares_the_configurations_of_all_prompts(capsys):
    """Each file's own, unless the command sets it for all."""
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/sst2.gin"]
    settings = ["MODEL='model'", "DATA_DIR='bundled:mini'", "TARGET_LENGTH=16"]
    for name, length in {"a": 16, "b": 32}.items():
        run, config = configure(files, [*settings, f"INPUT_LENGTH={length}"])
        assert run.data.input_length == length
        prompt, _ = load_prompt(f"{name}.safetensors")
        backbone = dataclasses.replace(Decoder(SMALL), name="model")
        path = f"{name}-{length}.safetensors"
        save_prompt(path, prompt, backbone, task="sst2", config=config)
    command = [
        "evaluate",
        "--ensemble",
        "--another_backbone",
        "--prompt=a-16.safetensors",
    ]
    command += ["--prompt=b-32.safetensors", "--gin.Evaluation.num_examples=8"]
    assert main(command) == 1
    assert (
        "a-16.safetensors and b-32.safetensors do not run together: Data.input_length "
        "is 16 and 32; set it for both, as --gin.Data.input_length=VALUE"
    ) in capsys.readouterr().err
    assert main([*command, "--gin.Data.input_length=16"]) == 0


def test_what_decides_no_score_may_differ():
    other = dataclasses.replace(
        changed("model", dropout=0.1, remat="full"), batch_size=16, seed=4
    )
    check_together({A: score_settings(RUN, None), B: score_settings(other, None)})
    split = changed("data", validation_split="train")
    check_together({A: score_settings(RUN, "test"), B: score_settings(split, "test")})
    with pytest.raises(ValueError, match=r"Data\.validation_split is 'validation' and"):
        check_together({A: score_settings(RUN, None), B: score_settings(split, None)})
    kinds = {A: task_settings(RUN.data.task), B: task_settings(OfficialTask())}
    with pytest.raises(ValueError, match=r"Data\.task is 'OwnTask' and 'OfficialTask'"):
        check_together(kinds)
