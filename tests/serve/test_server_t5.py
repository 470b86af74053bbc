"""A model with an encoder is served in batches of like lengths, as predict answers."""

import concurrent.futures
import json
import time
import urllib.request
from pathlib import Path

import openai
import pytest
from served_models import choice_of, serving
from tiny import draw_prompt, save_tiny

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config.answering import describe
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.prompts.file import save_prompt

TEXTS = ["a good film", "bad", "one word and another " * 5, "it was not good at all"]
LENGTH, LENGTHS = 8, {"one": 1, "three": 3, "nine": 9}
LABELS = {word: word for word in ("good", "bad", "terrible")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("t5")
    save_tiny(folder / "model")
    (folder / "bank").mkdir()
    for name, length in LENGTHS.items():
        write_prompt(folder, name, length)
    return folder


def write_prompt(folder, name, length):
    backbone = open_backbone(find_checkpoint(folder / "model"))
    settings = [f"TARGET_LENGTH={LENGTH}", "INPUT_LENGTH=60", "BATCH_SIZE=8"]
    settings += ["MODEL='model'", "METHOD='greedy'", "OwnTask.inputs='a {text}'"]
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]
    run, config = configure(files, settings)
    file, prompt = folder / "bank" / f"{name}.safetensors", draw_prompt(7, 1, length)
    told = {"task": "reviews", "config": config, "answering": describe(run)}
    save_prompt(file, prompt, backbone, **told)


@pytest.fixture(scope="module")
def client(folder):
    flags = ["--bank=bank", "--slots=4", "--slot_tokens=80", "--max_tokens=20"]
    with serving(folder, *flags) as server:
        url = f"{server.url}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield client


def predict(folder, name, *flags) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
        Path("asked.jsonl").write_text(rows)
        files = ["--input=asked.jsonl", "--output=said.jsonl", "--overwrite"]
        prompt = f"--prompt=bank/{name}.safetensors"
        assert main(["predict", prompt, *files, *flags]) == 0
        lines = Path("said.jsonl").read_text().splitlines()
    return [json.loads(line)["prediction"] for line in lines]


def complete(client, name, text, **options):
    options = {"max_tokens": LENGTH, **options}
    return choice_of(client.completions.create(model=name, prompt=text, **options)).text


def test_answers_are_those_of_predict_alone_and_mixed(client, folder):
    offline = {
        (name, text): answer
        for name in LENGTHS
        for text, answer in zip(TEXTS, predict(folder, name), strict=True)
    }
    compiled = client.get("/info", cast_to=object)["compiled"]
    assert {one: complete(client, *one) for one in offline} == offline
    with concurrent.futures.ThreadPoolExecutor(len(offline)) as pool:
        mixed = pool.map(lambda one: complete(client, *one), offline)
        assert dict(zip(offline, mixed, strict=True)) == offline
    assert client.get("/info", cast_to=object)["compiled"] == compiled


def test_draws_follow_from_the_seed_whoever_shares_the_batch(client):
    def said(name):
        return complete(client, name, "good", temperature=1.0, seed=3)

    alone = {name: said(name) for name in LENGTHS}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert dict(zip(alone, pool.map(said, alone), strict=True)) == alone


def test_classes_are_ranked_as_predict_ranks_them(client, folder):
    flags = ["--gin.METHOD='rank'", f"--gin.OwnTask.labels={LABELS}"]
    body = {"model": "nine", "input": TEXTS, "labels": [*LABELS]}
    answer = client.post("/classify", body=body, cast_to=object)
    assert [one["label"] for one in answer["data"]] == predict(folder, "nine", *flags)


def test_prometheus_counts_the_tokens_that_a_client_is_told(client):
    def counted() -> float:
        address = str(client.base_url.join("/metrics"))
        with urllib.request.urlopen(address, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        of_nine = [line for line in lines if 'prompt="nine"' in line]
        found = [x for x in of_nine if x.startswith("jaxprompt:prompt_tokens_total")]
        return sum(float(line.split()[-1]) for line in found)

    before = counted()
    usage = client.completions.create(model="nine", prompt="good", max_tokens=1).usage
    assert usage.prompt_tokens_details.soft_tokens == 9
    assert counted() - before == usage.prompt_tokens


def test_a_prompt_longer_than_any_before_compiles_as_it_is_loaded(client, folder):
    compiled = client.get("/info", cast_to=object)["compiled"]
    write_prompt(folder, "longer", 20)
    end = time.monotonic() + 20
    while "longer" not in {card.id for card in client.models.list()}:
        assert time.monotonic() < end
        time.sleep(0.1)
    grown = client.get("/info", cast_to=object)["compiled"]
    assert grown > compiled
    assert {x: complete(client, "longer", x) for x in TEXTS} == dict(
        zip(TEXTS, predict(folder, "longer"), strict=True)
    )
    assert client.get("/info", cast_to=object)["compiled"] == grown


def test_a_model_with_an_encoder_has_no_chat_of_its_own(client):
    messages = [{"role": "user", "content": "good"}]
    with pytest.raises(openai.BadRequestError, match="has no chat template"):
        client.chat.completions.create(model="nine", messages=messages)
