"""Prompts of keys and values, of soft tokens with a network, or both, end to end."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import save_tiny

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.config import Data, Evaluation, Model, OwnTask, PromptStart, Run
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, load_start
from jaxprompt.runs import (
    diagnose,
    evaluate,
    evaluate_ensemble,
    export_prompt,
    find_prompts,
    inspect,
    predict,
    push,
    train,
)
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.train.pace import Pace

ROWS = [{"text": text, "label": str(n % 2)} for n, text in enumerate("abcdefgh")]
RUN = Run(
    model=Model(name="t5"),
    data=Data(
        task=OwnTask(
            name="own",
            files={"train": "rows.jsonl", "validation": "rows.jsonl"},
            inputs="text: {text}",
            target="label",
            labels={"0": "no", "1": "yes"},
        ),
        input_length=8,
        target_length=4,
    ),
    prompt=PromptStart(length=0, deep={"encoder": 4, "cross": 3}, deep_layers=[0]),
    pace=Pace(steps=4, evaluate_every=2, log_every=2),
    evaluation=Evaluation(method="rank", batch_size=8),
    batch_size=8,
    seeds=2,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random T5, a random GPT-2 and rows."""
    folder = tmp_path_factory.mktemp("deep")
    spiece = str(Path(resolve("bundled:nano")) / "spiece.model")
    save_tiny(folder / "t5")
    sizes = {"width": 16, "heads": 2, "ffn_width": 24, "layers": 2, "positions": 64}
    pieces = load_vocabulary(spiece, causal=True).vocab_size
    gpt2 = Decoder(GPT2Config(vocab_size=pieces, **sizes), vocabulary=spiece)
    draw = np.random.default_rng(0)
    weights = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(gpt2.init, jax.random.key(0)),
    )
    save(folder / "gpt2", gpt2, weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        yield


def answers(run: Run, file: Path) -> list[str]:
    predict({file: run}, source="rows.jsonl", output="said.jsonl", overwrite=True)
    said = Path("said.jsonl").read_text().splitlines()
    return [json.loads(line)["prediction"] for line in said]


def test_a_bank_of_keys_and_values_trains_and_is_used_like_any_other(capsys):
    result = train(RUN, Path("bank"))
    files = find_prompts(["bank/prompts"])
    alone = dataclasses.replace(RUN, seeds=1)
    prompts = [load_prompt(file) for file in files]
    for (prompt, provenance), start in zip(
        prompts, map(load_start, files), strict=True
    ):
        assert (prompt.length, provenance.sites["encoder"]["used"]) == (0, [0])
        assert provenance.init == "normal", "no soft tokens start from label words"
        assert {site: deep.length for site, deep in prompt.deep.items()} == {
            "encoder": 4,
            "cross": 3,
        }
        assert start is not None
        assert np.abs(prompt.deep["cross"].keys - start.deep["cross"].keys).max() > 0.1
    voted = evaluate_ensemble(dict.fromkeys(files, alone), split="validation")
    for member, told in zip(voted["members"], result["members"], strict=True):
        assert member["score"] == told["score"]
    one = evaluate(alone, files[0])
    assert one["score"] == result["members"][0]["score"]
    assert set(answers(alone, files[0])) <= {"no", "yes"}

    # The file alone answers: it has no gin text, and the data is gone.
    assert prompts[0][1].config == ""
    expected = answers(alone, files[0])
    Path("rows.jsonl").rename("moved.jsonl")
    asked = f"--prompt={files[0]}", "--output=alone.jsonl", "--input=moved.jsonl"
    assert main(["predict", *asked]) == 0
    found = Path("alone.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in found] == expected
    scored = f"--prompt={files[0]}", "--output=score.json"
    named = "--gin.OwnTask.files={'validation': 'moved.jsonl'}"
    assert main(["evaluate", *scored, named]) == 0
    assert json.loads(Path("score.json").read_text())["score"] == one["score"]
    assert main(["evaluate", *scored, "--overwrite"]) == 1
    assert "files is empty: name a file for each split" in capsys.readouterr().err
    Path("moved.jsonl").rename("rows.jsonl")

    # Who knows soft tokens only says in a line that there are none.
    capsys.readouterr()
    assert inspect(alone, files[0]).keys() == {"provenance"}
    told = "3 keys and values in each of 1 layers at cross and 4 keys and values"
    assert f"no soft tokens to read: the prompt is {told}" in capsys.readouterr().out
    with pytest.raises(
        ValueError, match=f"form vllm takes soft tok.* none: it is {told}"
    ):
        export_prompt(files[:1], Path("out"), form="vllm")
    with pytest.raises(
        ValueError, match=f"push, which adds a copy .*none: it is {told}"
    ):
        push({files[0]: None}, "name/repo")
    found = {x["check"]: x for x in diagnose(alone, files[0])["findings"]}
    assert found["row norms"]["verdict"] == "skipped"
    assert "has no soft tokens" in found["learning rate"]["says"]
    assert found["effect of the prompt"]["number"] > 0


def test_a_network_behind_soft_tokens_trains_and_is_folded_into_the_file():
    """In a decoder, where soft tokens before other keys and values do not fold."""
    start = PromptStart(
        length=3, init="vocabulary", deep={"decoder": 2}, reparametrise="residual_mlp"
    )
    run = dataclasses.replace(
        RUN, model=Model(name="gpt2"), prompt=start, seeds=1, pace=Pace(steps=2)
    )
    assert not prepare(run).frozen.folds
    result = train(run, Path("both"))
    prompt, provenance = load_prompt("both/prompt.safetensors")
    begun = load_start("both/prompt.safetensors")
    assert (prompt.length, provenance.sites["decoder"]["length"]) == (3, 2)
    assert begun is not None
    assert np.abs(prompt.rows - begun.rows).max() > 0.1
    saved = Path("both/checkpoints/2")
    names = json.loads((saved / "state" / "_METADATA").read_text())["tree_metadata"]
    assert any("down" in name for name in names)
    assert evaluate(run, Path("both/prompt.safetensors"))["score"] == result["score"]


def test_soft_tokens_fold_where_they_lead_a_template_and_only_as_many_as_it_has():
    def lead_of(inputs: str) -> int:
        task = dataclasses.replace(RUN.data.tasks[0], inputs=inputs)
        run = dataclasses.replace(
            RUN,
            model=Model(name="gpt2"),
            data=dataclasses.replace(RUN.data, task=task),
            prompt=PromptStart(length=3),
        )
        job = prepare(run)
        layout = layout_of(job.task, job.lengths, job.frozen.soft_ids(3))
        return sum(number >= job.frozen.backbone.vocab_rows for number in layout.lead)

    assert lead_of("{slots:2} {slots:1} text: {text}") == 3
    assert lead_of("{slots:2} text: {text} {slots:1}") == 2
    assert lead_of("text: {text} {slots:3}") == 0
    with pytest.raises(ValueError, match=r"for 4 soft tokens, .* set --gin.PROMPT_LEN"):
        lead_of("{slots:4} {text}")


def test_a_prompt_in_the_middle_of_a_text_trains_and_answers():
    task = dataclasses.replace(RUN.data.tasks[0], inputs="{text} {slots:3} . text")
    run = dataclasses.replace(
        RUN,
        data=dataclasses.replace(RUN.data, task=task),
        prompt=PromptStart(length=3, init="vocabulary"),
        pace=Pace(steps=2),
        seeds=1,
    )
    result = train(run, Path("middle"))
    file = Path("middle/prompt.safetensors")
    assert evaluate(run, file)["score"] == result["score"]
    expected = answers(run, file)
    # The file has the template too.
    asked = f"--prompt={file}", "--output=middle.jsonl", "--input=rows.jsonl"
    assert main(["predict", *asked]) == 0
    found = Path("middle.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in found] == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"deep": {"elsewhere": 3}},
            r"'elsewhere', where this model reads none: use enc",
        ),
        ({"deep": {"cross": 2}, "deep_layers": [1]}, r"layer 1 at 'cross', .* 0 to 0"),
    ],
)
def test_keys_and_values_without_a_place_in_the_model_are_refused(settings, said):
    run = dataclasses.replace(RUN, prompt=PromptStart(**settings))
    with pytest.raises(ValueError, match=said):
        prepare(run)


def test_what_is_drawn_has_a_deviation_of_1_where_none_is_set():
    deep = {"cross": 1}
    assert PromptStart(deep=deep).deep_start.stddev == 1.0
    assert PromptStart(deep=deep, stddev=0.1).deep_start.stddev == 0.1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"deep": {"decoder": 2}, "deep_init": "text", "text": "a"},
            "'text' starts from tokens .* set PromptStart.deep_in_front = True",
        ),
        ({"deep_init": "words"}, "unknown PromptStart.deep_init 'words': use one of"),
        ({"deep_dropout": 1.0}, "deep_dropout 1.0: use a rate from 0"),
        ({"deep_layers": "top:2"}, "layers 'top:2': use 'first:K' or 'last:K'"),
        (
            {"deep": {"cross": 2}, "deep_init": "file", "reparametrise": "mlp"},
            "'file' with reparametrisation 'mlp', whose network starts at random",
        ),
        ({"length": -1}, "prompt length -1: use 0 or more rows"),
        ({"deep": {"cross": 0}}, "0 keys and values at 'cross': use 1 or more"),
        ({"deep": {"cross": 1}, "stddev": 0.0}, "stddev 0.0 of keys and values"),
        ({"reparametrise": "net"}, r"'net': use one of \['none', 'residual_mlp', 'ls"),
        ({"reparametrise": "mlp"}, "'mlp' is of keys and values, but PromptStart.deep"),
        (
            {"length": 0, "deep": {"cross": 1}, "reparametrise": "residual_mlp"},
            "'residual_mlp' is of soft tokens, but the prompt length is 0",
        ),
    ],
)
def test_settings_of_no_prompt_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        PromptStart(**settings)


def test_prompts_that_share_a_part_train_with_one_seed():
    start = PromptStart(length=3, reparametrise="multitask")
    with pytest.raises(ValueError, match=r"2 seeds with .*'multitask', of which all"):
        dataclasses.replace(RUN, prompt=start)


def test_keys_and_values_of_a_text_train_through_gates_in_the_last_layer():
    start = PromptStart(
        length=0,
        deep={"decoder": 5},
        deep_layers="last:1",
        deep_init="text",
        text="text: yes",
        deep_in_front=True,
        deep_gated=True,
        deep_dropout=0.1,
        reparametrise="low_rank",
    )
    model = Model(name="gpt2")
    run = dataclasses.replace(
        RUN, model=model, prompt=start, seeds=1, pace=Pace(steps=2)
    )
    assert train(run, Path("gated"))["score"] is not None
    file = Path("gated/prompt.safetensors")
    prompt, provenance = load_prompt(file)
    begun = load_start(file)
    sites = provenance.sites["decoder"]
    assert (sites["used"], sites["in_front"], sites["gated"]) == ([1], True, True)
    assert begun is not None
    assert (begun.deep["decoder"].gate == 0).all()
    assert np.abs(prompt.deep["decoder"].gate[0, 1]).min() > 0
    assert set(answers(run, file)) <= {"no", "yes"}
