"""A prompt's card tells what is known, what is not, and what the Hub reads."""

from typing import Any

import huggingface_hub
from made_results import made_member, made_result

from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.pages.prompt_card import CardPrompt, CardRun, prompt_card
from jaxprompt.report.reading.nearest import SoftToken

T5 = "google/t5-base-lm-adapt"


def provenance(**changes: Any) -> Provenance:
    known: dict[str, Any] = {
        "backbone": T5,
        "revision": "abc123",
        "fingerprint": "f" * 64,
        "length": 4,
        "width": 16,
        "task": "rte",
        "seed": 0,
        "step": 300,
        "init": "class_labels",
        "config": "STEPS = 300\n",
        "versions": {"jax": "0.10"},
    }
    return Provenance(**{**known, **changes})


def prompt(member: dict[str, Any] | None = None, **changes: Any) -> CardPrompt:
    known = provenance(**({"seed": member["seed"]} if member else {}), **changes)
    return CardPrompt(
        file="prompt.safetensors", adapter="", provenance=known, member=member
    )


def card_run(*files: str, **known: Any) -> CardRun:
    return CardRun(files=files or ["prompt.safetensors"], **known)


def one(**known: Any) -> str:
    member = made_member(score=61.0)
    return prompt_card(
        "me/rte",
        [prompt(member)],
        result=made_result(member),
        runs=[card_run(**known)],
    )


def test_the_header_is_what_the_hub_reads():
    data = huggingface_hub.ModelCard(one()).data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == (T5, "adapter")
    assert data["library_name"] == "peft"
    assert {"jaxprompt", "prompt-tuning"} <= set(data["tags"])
    (index,) = data["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {"type": "rte", "name": "rte", "split": "validation"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {"f1": 60.0, "accuracy": 62.0}


def test_the_hub_finds_a_decoder_among_those_that_generate_text():
    for causal, kind in ((True, "text-generation"), (False, "text2text-generation")):
        card = prompt_card("me/rte", [prompt(made_member(), causal=causal)])
        data = huggingface_hub.ModelCard(card).data.to_dict()
        assert data["pipeline_tag"] == kind
        (result,) = data["model-index"][0]["results"]
        assert result["task"] == {"type": kind, "name": "rte"}


def test_text_cannot_leave_its_place_in_the_header():
    member = made_member(task='a"\n- b: {c}')
    text = prompt_card("me/x", [prompt(member, backbone="you/m: [x")], result=member)
    data = huggingface_hub.ModelCard(text).data.to_dict()
    assert data["base_model"] == "you/m: [x"
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["type"] == 'a"\n- b: {c}'


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_scores_stand_beside_their_baselines():
    header, _, row = cells(one())[:3]
    found = dict(zip(header, row, strict=True))
    assert (
        found.items()
        >= {
            "examples": "277",
            "majority": "50.0",
            "untuned": "12.5",
            "prompt": "61.0",
            "illegal %": "2.0",
            "accuracy": "62.0",
            "seed": "0",
        }.items()
    )


def test_tasks_that_training_never_saw_have_lines_of_their_own():
    scores = {name: made_member()[name] for name in ("majority", "examples", "metric")}
    shift = {"mrpc": {**scores, "score": 55.5, "metrics": {"f1": 55.5}}}
    member = made_member(score=61.0, shift=shift)
    header, _, own, other = cells(prompt_card("me/rte", [prompt(member)]))[:4]
    place = header.index("prompt")
    assert (own[0], own[place]) == ("rte", "61.0")
    assert (other[0], other[place]) == ("rte -> mrpc", "55.5")


def test_one_seed_is_said_to_be_one():
    assert "rte: one seed (0). How much the score varies" in one()


def test_the_best_of_several_seeds_is_not_sold_as_the_rule():
    members = [made_member(seed=seed, score=50.0 + seed) for seed in range(3)]
    result = made_result(*members)
    best = prompt_card("me/rte", [prompt(members[2])], result=result)
    assert "3 seeds, which score 51.0 ± 1.0" in best
    assert "from 50.0 to 52.0. Of these 3 prompts 1 is here, the best" in best
    first = prompt_card("me/rte", [prompt(members[0])], result=result)
    assert "Of these 3 prompts 1 is here." in first
    two = prompt_card("me/rte", [prompt(m) for m in members[1:]], result=result)
    assert "Of these 3 prompts 2 are here, the best among them, and" in two
    every = prompt_card("me/rte", [prompt(m) for m in members], result=result)
    assert "Their majority vote scores 52.5." in every
    (index,) = huggingface_hub.ModelCard(every).data.to_dict()["model-index"]
    (metric, _) = index["results"][0]["metrics"]
    assert (metric["name"], metric["value"]) == ("f1, mean of 3 seeds", 50.0)


def test_a_score_on_the_split_that_chose_the_step_is_said_to_flatter():
    assert "which flatters them" in one(chosen_on="validation")
    assert "flatters" not in one(chosen_on="test")
    assert "flatters" not in one()


def test_a_loss_is_not_called_points_and_has_no_baselines():
    member = {"task": "text", "split": "validation", "examples": 40, "metric": "loss"}
    member |= {"score": -3.5, "loss": 3.5, "seed": 0}
    text = prompt_card("me/text", [prompt(member)])
    assert "in nats per target token" in text
    for words in ("in points", "majority", "untuned", "Illegal"):
        assert words not in text
    assert "in points" in one()


def test_what_is_not_known_is_not_made_up():
    bare = prompt(
        revision=None, fingerprint="", task="", seed=None, step=0, init="", config=""
    )
    text = prompt_card("me/x", [bare])
    assert "Not known: no result came with the prompt." in text
    assert "only\nwith `--another_backbone`" in text
    assert "evaluate --prompt=x/prompt.safetensors --another_backbone\n" in text
    assert f"**{T5}** a task that its file does not name." in text
    assert "model-index" not in text
    assert "configuration" not in text
    assert "nearest" not in text
    assert ["fingerprint", "not known"] in cells(text)
    said = prompt_card("me/x", [prompt(metric="f1", score=71.23)])
    assert "file says f1 71.2. What the majority class" in said


def test_a_folder_is_no_model_of_the_hub():
    folder = prompt(made_member(), backbone="model", revision=None)
    text = prompt_card("me/x", [folder])
    assert "base_model" not in text
    assert "of\nno use without it" in text
    assert 'from_pretrained("path/to/model")' in text
    bundled = prompt_card("me/x", [prompt(backbone="bundled:nano", revision=None)])
    assert "base_model" not in bundled
    assert "in the folder `jaxprompt/bundled/nano`" in bundled
    # Another program's prompt names a model of the Hub, of no known revision.
    taken = prompt_card("me/x", [prompt(revision=None, source="google: rte.npy")])
    assert f'from_pretrained("{T5}")' in taken
    assert "read from another program's file, google: rte.npy" in taken


def test_each_library_gets_its_lines():
    text = one()
    assert "jaxprompt pull me/rte --output=rte\n" in text
    assert "jaxprompt evaluate --prompt=rte/prompt.safetensors\n" in text
    assert f'from_pretrained("{T5}", revision="abc123")\n' in text
    assert 'PeftModel.from_pretrained(model, "me/rte")\n' in text


def test_words_and_configuration_are_quoted():
    token = SoftToken(1.5, [("`x|y`", 0.5), ("<b>", 0.25)])
    near = CardPrompt(
        file="prompt.safetensors",
        adapter="",
        provenance=provenance(),
        tokens=[token],
    )
    run = card_run(config="A = '```'\n", training={"steps": "300"})
    text = prompt_card("me/x", [near], runs=[run])
    assert "| 0          | 1.5  | `` `x\\|y` (0.50), <b> (0.25) `` |" in text
    assert "````gin\nA = '```'\n````" in text
    assert ["steps", "300"] in cells(text)


def test_a_loss_is_no_score_of_answers():
    member = {
        "task": "text",
        "split": "validation",
        "examples": 10,
        "metric": "loss",
        "score": -2.5,
        "loss": 2.5,
        "seed": 0,
    }
    text = prompt_card("me/x", [prompt(member, task="text")], result=member)
    (index,) = huggingface_hub.ModelCard(text).data.to_dict()["model-index"]
    (metric,) = index["results"][0]["metrics"]
    assert (metric["type"], metric["value"]) == ("loss", 2.5)
    assert "majority" not in cells(text)[0]


def test_prompts_of_several_runs_each_have_their_own():
    names = ("prompts/a.safetensors", "prompts/b.safetensors")
    members = [made_member(split="test"), made_member(split="validation")]
    prompts = [
        CardPrompt(file=name, adapter="", provenance=provenance(), member=member)
        for name, member in zip(names, members, strict=True)
    ]
    runs = [
        CardRun(
            files=[name],
            data={"texts": f"those of {name}"},
            training={"batch": f"{rows} rows"},
            chosen_on="validation",
            config=f"BATCH_SIZE = {rows}",
        )
        for name, rows in zip(names, (16, 32), strict=True)
    ]
    text = prompt_card("me/x", prompts, runs=runs)
    for name, rows in zip(names, (16, 32), strict=True):
        place = text.index(f"### Data of {name}\n")
        assert f"those of {name}" in text[place : place + 200]
        place = text.index(f"### Training of {name}\n")
        assert f"{rows} rows" in text[place : place + 200]
        place = text.index(f"configuration of {name}</summary>\n")
        assert f"BATCH_SIZE = {rows}\n" in text[place : place + 200]
    assert "some scores above are of\nthe same split, which flatters" in text
    unknown = prompt_card("me/x", prompts, runs=[runs[0], CardRun(files=names[1:])])
    assert f"### Data of {names[1]}\n\nNot known.\n" in unknown
