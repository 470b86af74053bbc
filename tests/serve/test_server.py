"""The official OpenAI client against a real server; its answers are predict's."""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import openai
import pytest
from page_blocks import blocks, page, run_code
from served_models import (
    PROMPTS,
    SPECIAL,
    choice_of,
    serving,
    write_model,
    write_prompts,
)
from slot_models import draw_prompt

from jaxprompt.cli import main
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.prompts.file import save_prompt
from jaxprompt.serve.http.app import make_app
from jaxprompt.serve.http.requests import (
    CHAT_FIELDS,
    CLASSIFY_FIELDS,
    COMPLETION_FIELDS,
)

TEXTS = ["a good film", "bad", "user system good bad assistant", "日本語 é\n\n"]
LENGTH = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    environment = {"JAXPROMPT_KEY": "secret", "JAXPROMPT_ADMIN_KEY": "chief"}
    flags = ["--bank=bank", "--queue=24", "--max_tokens=100"]
    with serving(folder, *flags, **environment) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    url = f"{server.url}/v1"
    with openai.OpenAI(base_url=url, api_key="secret", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def offline(folder):
    """What `jaxprompt predict` answers: (prompt, text) -> answer."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
        Path("asked.jsonl").write_text(rows)
        for name in PROMPTS:
            flags = ["--input=asked.jsonl", f"--output={name}.jsonl"]
            assert main(["predict", f"--prompt=bank/{name}.safetensors", *flags]) == 0
            for line in Path(f"{name}.jsonl").read_text().splitlines():
                row = json.loads(line)
                found[name, row["text"]] = row["prediction"]
    return found


def complete(client, name, text, **options):
    options = {"max_tokens": LENGTH, **options}
    return client.completions.create(model=name, prompt=text, **options)


def post(server, path, body, key="secret"):
    """Sends bytes; returns the status, the answer, and its headers."""
    request = urllib.request.Request(
        f"{server.url}{path}",
        data=body,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def test_answers_are_those_of_predict_alone_and_mixed(client, offline):
    asked = [(name, text) for name in PROMPTS for text in TEXTS]
    alone = {one: choice_of(complete(client, *one)).text for one in asked}
    assert alone == offline
    # As many tokens as the task's answers have, where the client names no number.
    some = {
        (name, text): choice_of(client.completions.create(model=name, prompt=text)).text
        for name, text in list(asked)[:: len(TEXTS)]
    }
    assert some == {one: offline[one] for one in some}
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        mixed = pool.map(lambda one: choice_of(complete(client, *one)).text, asked)
        assert dict(zip(asked, mixed, strict=True)) == offline


def test_draws_follow_from_the_seed_whoever_shares_the_batch(client):
    options = {"temperature": 1.0, "top_p": 0.95, "seed": 3, "n": 2}

    def said(name):
        answer = complete(client, name, "good", **options)
        return [choice.text for choice in answer.choices]

    alone = {name: said(name) for name in PROMPTS}
    assert all(first != second for first, second in alone.values())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert dict(zip(alone, pool.map(said, alone), strict=True)) == alone
    options["seed"] = 4
    assert said("short") != alone["short"]


def test_a_stream_is_the_answer_in_pieces_and_ends_with_usage(client, offline):
    events = list(
        complete(
            client,
            "short",
            TEXTS[2],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *pieces, last = events
    assert (
        "".join(piece.choices[0].text for piece in pieces) == offline["short", TEXTS[2]]
    )
    assert [piece.choices[0].finish_reason for piece in pieces][-1] in (
        "stop",
        "length",
    )
    assert last.choices == []
    assert last.usage.prompt_tokens_details.soft_tokens == 4
    assert last.usage.completion_tokens <= LENGTH
    assert last.usage.total_tokens == (
        last.usage.prompt_tokens + last.usage.completion_tokens
    )


def test_chat_writes_the_model_s_own_template(client):
    messages = [{"role": "user", "content": "good"}]
    options = {"model": "short", "messages": messages, "max_tokens": 8}
    whole = client.chat.completions.create(**options)
    text = "<|im_start|>user good<|im_end|><|im_start|>assistant "
    written = choice_of(complete(client, "short", {"inputs": text}, max_tokens=8)).text
    assert choice_of(whole).message.content == written
    first, *pieces = client.chat.completions.create(**options, stream=True)
    assert first.choices[0].delta.role == "assistant"
    said = [piece.choices[0].delta.content or "" for piece in pieces]
    assert "".join(said) == written
    with pytest.raises(openai.BadRequestError, match="words in front of its soft"):
        client.chat.completions.create(**{**options, "model": "amid"})
    late = [*messages, {"role": "system", "content": "x"}]
    with pytest.raises(openai.BadRequestError, match="cannot write these messages"):
        client.chat.completions.create(**{**options, "messages": late})


def test_the_model_alone_reads_what_transformers_reads(client, folder):
    """Its tokenizer puts beginning-of-sequence in front, its chat template another."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    theirs: Any = transformers.AutoModelForCausalLM.from_pretrained(folder / "model")
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder / "model")
    messages = [{"role": "user", "content": TEXTS[0]}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    asked = {"max_tokens": LENGTH, "temperature": 0}
    for ids, answer in (
        (
            tokenizer(TEXTS[0]).input_ids,
            choice_of(complete(client, "model", TEXTS[0], **asked)).text,
        ),
        (
            chat["input_ids"],
            choice_of(
                client.chat.completions.create(
                    model="model", messages=messages, **asked
                )
            ).message.content,
        ),
    ):
        assert ids.count(tokenizer.bos_token_id) == 1
        written = theirs.generate(
            torch.tensor([ids]), max_new_tokens=LENGTH, do_sample=False
        )[0, len(ids) :].tolist()
        ends = [tokenizer.convert_tokens_to_ids(x) for x in SPECIAL[:3]]
        end = next((n for n, x in enumerate(written) if x in ends), LENGTH)
        assert answer == tokenizer.decode(written[:end])


def test_stop_strings_end_an_answer_and_are_not_part_of_it(client, offline):
    whole = offline["long", TEXTS[0]]
    stop = whole[2:4]
    answer = choice_of(complete(client, "long", TEXTS[0], stop=[stop, "never"]))
    assert (answer.text, answer.finish_reason) == (whole[: whole.index(stop)], "stop")
    pieces = complete(client, "long", TEXTS[0], stop=stop, stream=True)
    streamed = "".join(piece.choices[0].text for piece in pieces)
    assert streamed == whole[: whole.index(stop)]


def classify(server, **body):
    status, answer, _ = post(server, "/v1/classify", json.dumps(body).encode())
    return status, answer


@pytest.mark.parametrize("labels", [None, ["good", "bad", "assistant"]])
@pytest.mark.parametrize("name", ["short", "amid"])
def test_classes_are_ranked_as_predict_ranks_them(server, folder, name, labels):
    asked = {"model": name, "input": TEXTS, **({"labels": labels} if labels else {})}
    status, answer = classify(server, **asked)
    assert status == 200
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
        Path("ranked.jsonl").write_text(rows)
        flags = ["--gin.METHOD='rank'", "--input=ranked.jsonl", "--output=chosen.jsonl"]
        if labels:
            flags += [f"--gin.OwnTask.labels={ {word: word for word in labels} }"]
        prompt = f"--prompt=bank/{name}.safetensors"
        assert main(["predict", prompt, "--overwrite", *flags]) == 0
        lines = Path("chosen.jsonl").read_text().splitlines()
    assert [one["label"] for one in answer["data"]] == [
        json.loads(line)["prediction"] for line in lines
    ]
    for one in answer["data"]:
        assert [*one["probabilities"]] == (labels or ["bad", "good"])
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert max(one["probabilities"], key=one["probabilities"].get) == one["label"]


def test_a_class_of_several_words_has_their_mean(server):
    every = ["bad", "good", "user"]
    _, apart = classify(server, model="short", input="a film", labels=every)
    _, together = classify(server, model="short", input="a film")
    found = {x: math.exp(y) for x, y in apart["data"][0]["log_probs"].items()}
    likely = together["data"][0]["log_probs"]
    mean = (found["good"] + found["user"]) / 2
    assert math.exp(likely["good"]) == pytest.approx(mean, rel=1e-4)
    assert math.exp(likely["bad"]) == pytest.approx(found["bad"], rel=1e-4)


def test_a_label_that_an_answer_would_end_in_is_refused(server):
    status, answer = classify(
        server, model="short", input="a film", labels=["good", "bad<|im_end|>good"]
    )
    assert status == 400
    assert "holds '<|im_end|>', which ends an answer" in answer["error"]["message"]


def test_a_row_s_fields_are_asked_and_what_does_not_fit_is_told(server):
    def told(**body):
        status, answer = classify(server, **body)
        assert (status, answer["error"]["param"].partition("[")[0]) == (400, "input")
        return answer["error"]["message"]

    _, text = classify(server, model="amid", input="good")
    _, row = classify(server, model="amid", input={"text": "good"})
    assert row == text
    assert told(model="amid", input={"words": "x"}).startswith("input: no field 'text'")
    assert "words in front of its soft tokens" in told(
        model="amid", input={"inputs": "written out"}
    )
    assert "no task is known" in told(
        model="model", input={"text": "x"}, labels=["good", "bad"]
    )
    status, answer = classify(server, model="model", input="good")
    assert (status, answer["error"]["param"]) == (400, "labels")


def test_a_long_text_is_cut_as_in_training_and_that_is_counted(server, folder):
    text = "film " * 60
    body = {"model": "short", "prompt": text, "max_tokens": LENGTH}
    status, answer, _ = post(server, "/v1/completions", json.dumps(body).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("too_long.jsonl").write_text(json.dumps({"text": text}))
        flags = ["--input=too_long.jsonl", "--output=cut.jsonl"]
        assert main(["predict", "--prompt=bank/short.safetensors", *flags]) == 0
        (line,) = Path("cut.jsonl").read_text().splitlines()
    assert status == 200
    assert answer["choices"][0]["text"] == json.loads(line)["prediction"]
    assert answer["usage"]["prompt_tokens"] == 40
    assert answer["usage"]["prompt_tokens_details"]["cut_tokens"] > 0


def test_several_prompts_vote_on_one_answer(server, client, offline):
    for text in TEXTS:
        said = [offline[name, text] for name in PROMPTS]
        answer = choice_of(complete(client, "+".join(PROMPTS), text))
        assert sum(answer.votes.values()) == len(PROMPTS)
        assert answer.votes[answer.text] == max(map(said.count, said))
    status, answer = classify(server, model="one+short+long", input="good")
    (one,) = answer["data"]
    assert (status, sum(one["votes"].values())) == (200, 3)
    assert one["votes"][one["label"]] == max(one["votes"].values())
    with pytest.raises(openai.BadRequestError, match="3 prompts vote on one answer"):
        complete(client, "one+short+long", "good", stream=True)
    with pytest.raises(openai.NotFoundError, match="no model or prompt 'nobody'"):
        complete(client, "one+nobody", "good")


def test_log_probabilities_come_with_the_tokens(client):
    answer = choice_of(complete(client, "short", "good", logprobs=2, max_tokens=3))
    assert len(answer.logprobs.token_logprobs) == 3
    assert all(value <= 0 for value in answer.logprobs.token_logprobs)
    messages = [{"role": "user", "content": "good"}]
    chat = client.chat.completions.create(
        model="short", messages=messages, max_tokens=2, logprobs=True, top_logprobs=3
    )
    assert [len(one.top_logprobs) for one in choice_of(chat).logprobs.content] == [3, 3]


def test_cards_say_what_each_prompt_is(client, server):
    cards = {card.id: card for card in client.models.list()}
    assert set(cards) == {"model", *PROMPTS}
    assert cards["deep"].metadata["kind"] == "deep"
    assert cards["long"].metadata["tokens"] == 9
    assert cards["long"].parent == "model"
    one = client.models.retrieve("short")
    assert one.metadata["task"] == "reviews"
    assert one.metadata["fingerprint"] == cards["model"].metadata["fingerprint"]
    assert choice_of(complete(client, "model:short", "bad")).text == (
        choice_of(complete(client, "short", "bad")).text
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"temprature": 1}, "unknown field 'temprature'"),
        ({"max_tokens": 0}, "max_tokens is 0: it must be a whole number from 1"),
        (
            {"max_tokens": 101},
            "101: this server answers in up to 100, as its --max_tok",
        ),
        (
            {"model": "model", "prompt": "good " * 200, "max_tokens": 90},
            "max_tokens 90: behind this text there is room for ",
        ),
        (
            {"temperature": "hot"},
            "temperature is 'hot': it must be a number",
        ),
        ({"stop": ["a"] * 5}, "it must be a text, or up to 4"),
        ({"prompt": None}, "prompt must be a text, or an object of texts"),
        ({"model": "model", "prompt": "good " * 300}, "leave no room for an answer in"),
        ({"n": True}, "n is True: it must be a whole number from 1 to 16"),
    ],
)
def test_what_is_wrong_in_a_request_is_told_by_its_name(server, change, told):
    body = {"model": "short", "prompt": "good", **change}
    status, answer, _ = post(server, "/v1/completions", json.dumps(body).encode())
    assert status == 400
    assert told in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == [*change][-1]


def test_an_unknown_prompt_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="there are model, amid, deep, long"):
        complete(client, "../bank/short", "good")


def strategy_of(schema):
    """Makes values that a schema of openapi.json allows."""
    if "oneOf" in schema:
        return st.one_of(*map(strategy_of, schema["oneOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kind = schema.get("type")
    if kind == "object":
        known = {k: strategy_of(v) for k, v in schema.get("properties", {}).items()}
        if not known:
            return st.dictionaries(st.sampled_from(["text", "a"]), WORDS, min_size=1)
        required = {name: known.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(required, optional=known)
    if kind == "array":
        items = strategy_of(schema["items"])
        least = schema.get("minItems", 0)
        is_unique = schema.get("uniqueItems", False)
        return st.lists(items, min_size=least, max_size=3, unique=is_unique)
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "string":
        return WORDS.filter(lambda text: len(text) >= schema.get("minLength", 0))
    return {
        "integer": st.integers(low, high),
        "number": st.floats(low, high),
        "boolean": st.booleans(),
    }.get(kind, st.none())


WORDS = st.text("ab é{}\n\u202e", max_size=6) | st.just("good")


def test_the_description_names_every_route_and_field(server):
    told = json.loads(fetch(server, "/openapi.json"))["paths"]
    routes = {(route.path, *route.methods) for route in make_app(None).routes}
    for path, methods in told.items():
        (method,) = methods
        found = [path.replace("{name}", "{name:path}"), method.upper()]
        assert any({*found} <= {*route} for route in routes), path
    assert len(told) == len(routes)
    fields = {"completions": COMPLETION_FIELDS, "chat/completions": CHAT_FIELDS}
    for name, known in {**fields, "classify": CLASSIFY_FIELDS}.items():
        assert schema_of(told, f"/v1/{name}")["properties"].keys() == {*known}


def schema_of(told, path):
    content = told[path]["post"]["requestBody"]["content"]
    return content["application/json"]["schema"]


@pytest.mark.parametrize("path", ["completions", "chat/completions", "classify"])
def test_what_the_description_allows_is_answered_or_refused(server, path):
    told = json.loads(fetch(server, "/openapi.json"))["paths"]

    @hypothesis.settings(max_examples=15, deadline=None)
    @hypothesis.given(
        body=strategy_of(schema_of(told, f"/v1/{path}")),
        model=st.sampled_from(["model", "short", "amid", "short+one", "none"]),
    )
    def check(body, model):
        if path != "classify":
            body |= {"max_tokens": 1, "stream": False, "n": 1}
            body.pop("max_completion_tokens", None)
        sent = json.dumps({**body, "model": model}).encode()
        status, answer, _ = post(server, f"/v1/{path}", sent)
        assert status in (200, 400, 404, 429), answer
        if status != 200:
            assert answer["error"].keys() == {"message", "type", "param", "code"}
            assert "\n" not in answer["error"]["message"]

    check()


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"model": 1, "model": 2}'])
def test_what_is_no_json_object_is_refused(server, body):
    status, answer, _ = post(server, "/v1/completions", body)
    assert (status, answer["error"]["code"]) == (400, None)


def test_a_large_body_is_refused(server):
    body = json.dumps({"model": "short", "prompt": "x" * 2**20}).encode()
    assert post(server, "/v1/completions", body)[0] == 413


def test_the_key_guards_all_but_health(server):
    with urllib.request.urlopen(f"{server.url}/health") as answer:
        assert json.loads(answer.read()) == {"status": "ok"}
    for path in ("/ready", "/metrics", "/v1/models", "/v1/info", "/nothing"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}{path}")
    body = b'{"model": "short", "prompt": "good"}'
    assert post(server, "/v1/completions", body, key="secreT")[0] == 401


def test_prompts_are_loaded_and_unloaded_by_who_has_the_admin_key(
    server, client, folder
):
    body = b'{"prompt_name": "short"}'
    linked = folder / "bank" / "linked.safetensors"
    linked.symlink_to(folder / "bank" / "short.safetensors")
    assert post(server, "/v1/unload_prompt", body)[0] == 403
    assert post(server, "/v1/unload_prompt", body, key="chief")[0] == 200
    # The folder is looked at: what was unloaded stays out, and so do links.
    time.sleep(1.3)
    assert "linked" not in {card.id for card in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        complete(client, "short", "good")
    status, card, _ = post(server, "/v1/load_prompt", body, key="chief")
    assert (status, card["metadata"]["tokens"]) == (200, 4)
    for name in ("../bank/short", "nothing", "linked", ".hidden", "a/b"):
        body = json.dumps({"prompt_name": name}).encode()
        assert post(server, "/v1/load_prompt", body, key="chief")[0] in (400, 404)
    linked.unlink()


def test_answers_go_on_while_a_prompt_compiles_programs_anew(server, client, folder):
    """A prompt longer than any before, which makes the programs compile once more."""
    body, file = b'{"prompt_name": "grown"}', folder / "bank" / "grown.safetensors"
    write_prompts(folder, {"grown": (2, 0)})
    wait_for(lambda: "grown" in {card.id for card in client.models.list()})
    # What was unloaded is not loaded by the watch.
    assert post(server, "/v1/unload_prompt", body, key="chief")[0] == 200
    write_prompts(folder, {"grown": (100, 0)})
    before, answers = metric(server, "compiles_total"), 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        loading = pool.submit(post, server, "/v1/load_prompt", body, key="chief")
        while not loading.done():
            assert choice_of(complete(client, "short", "good", max_tokens=2)).text
            answers += 1
    assert answers > 3
    assert loading.result()[1]["metadata"]["tokens"] == 100
    compiled = metric(server, "compiles_total")
    assert compiled > before
    for name in ("short", "grown"):
        assert complete(client, name, "good " * 20).choices
    assert metric(server, "compiles_total") == compiled
    assert post(server, "/v1/unload_prompt", body, key="chief")[0] == 200
    file.unlink()


def test_the_folder_is_followed(server, client, folder):
    bank = folder / "bank"
    shutil.copy(bank / "short.safetensors", bank / "new.safetensors")
    wait_for(lambda: "new" in {card.id for card in client.models.list()})
    expected = choice_of(complete(client, "short", "good")).text
    assert choice_of(complete(client, "new", "good")).text == expected
    (bank / "new.safetensors").write_bytes(b"damaged")
    wait_for(lambda: any("did not load new" in line for line in server.lines))
    assert choice_of(complete(client, "new", "good")).text == expected
    (bank / "new.safetensors").unlink()
    wait_for(lambda: "new" not in {card.id for card in client.models.list()})


def test_a_prompt_of_another_model_is_not_loaded(server, client, folder):
    backbone = open_backbone(find_checkpoint(folder / "model"))
    other = dataclasses.replace(backbone, fingerprint="2:another", name="another")
    file = folder / "bank" / "foreign.safetensors"
    save_prompt(file, draw_prompt(backbone, 3), other)
    wait_for(lambda: any("did not load foreign" in line for line in server.lines))
    assert "foreign" not in {card.id for card in client.models.list()}
    body = b'{"prompt_name": "foreign"}'
    assert post(server, "/v1/load_prompt", body, key="chief")[0] == 400
    file.unlink()


def test_too_many_requests_are_told_to_come_again(server, client):
    options = {"stream": True, "max_tokens": 100, "n": 3}
    with complete(client, "long", ["good"] * 8, **options) as stream:
        next(iter(stream))
        body = {"model": "short", "prompt": ["good"] * 12, "max_tokens": 1}
        asked = json.dumps(body).encode()
        status, answer, headers = post(server, "/v1/completions", asked)
        assert (status, answer["error"]["type"]) == (429, "rate_limit_error")
        assert headers["Retry-After"] == "1"
    # What never has room is not to be asked again.
    asked = json.dumps({**body, "n": 3}).encode()
    status, answer, headers = post(server, "/v1/completions", asked)
    assert (status, headers["Retry-After"]) == (400, None)
    assert answer["error"]["message"].startswith("36 answers (texts, times prompts,")
    wait_for(lambda: metric(server, "num_requests_running") == 0)


def test_an_answer_is_a_turn_of_the_next_question(client):
    messages = [{"role": "user", "content": "good"}]
    options = {"model": "short", "max_tokens": 2}
    answer = client.chat.completions.create(messages=messages, **options)
    messages += [answer.choices[0].message, {"role": "user", "content": "bad"}]
    assert client.chat.completions.create(messages=messages, **options).choices


def test_names_are_of_one_thing_each(server, client, folder):
    bank = folder / "bank"
    shutil.copy(bank / "short.safetensors", bank / "model.safetensors")
    told = "did not load model: 'model' is the name that the model itself is asked by"
    wait_for(lambda: any(told in line for line in server.lines))
    (bank / "model.safetensors").unlink()
    # What was unloaded stays out while its file is there, and is new after it.
    file = bank / "again.safetensors"
    shutil.copy(bank / "short.safetensors", file)

    def there() -> bool:
        return "again" in {card.id for card in client.models.list()}

    wait_for(there)
    body = b'{"prompt_name": "again"}'
    assert post(server, "/v1/unload_prompt", body, key="chief")[0] == 200
    file.unlink()
    time.sleep(1.3)
    shutil.copy(bank / "short.safetensors", file)
    wait_for(there)
    file.unlink()
    wait_for(lambda: not there())


def test_who_goes_away_frees_the_slot(server, client):
    options = {"stream": True, "max_tokens": 100, "logprobs": 0}
    for _ in range(9):  # Three slots; a seed that never ends an answer early.
        stream = complete(client, "long", "good", **options)
        next(iter(stream))
        stream.close()
    wait_for(lambda: metric(server, "num_requests_running") == 0)
    assert choice_of(complete(client, "long", "good")).text


def test_the_page_asks_as_a_client_does(server, capsys):
    (code,) = blocks(page("docs/serving.md"), "python")
    theirs = {"http://127.0.0.1:8000": server.url, "none": "secret", "reviews": "short"}
    for text, ours in theirs.items():
        assert text in code
        code = code.replace(text, ours)
    found = run_code(code)
    found["client"].close()
    assert capsys.readouterr().out.strip()


def test_who_goes_in_the_body_leaves_no_traceback(server, client):
    address = server.url.removeprefix("http://").split(":")
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
    )
    with socket.create_connection((address[0], int(address[1]))) as gone:
        gone.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.1)
    assert choice_of(complete(client, "long", "good")).text
    time.sleep(0.1)  # The log is read by a thread.
    assert not any("Traceback" in line for line in server.lines)


def test_metrics_have_the_names_of_vllm_and_no_text(server, client):
    before = metric(server, "compiles_total")
    complete(client, "deep", "a text that nobody logs")
    text = metrics_of(server)
    assert 'jaxprompt:generation_tokens_total{model_name="model",prompt="deep"}' in text
    assert "jaxprompt:time_to_first_token_seconds_bucket" in text
    assert metric(server, "compiles_total") == before
    assert "nobody logs" not in text + "".join(server.lines)


FILED = ["--bank=bank", "--max_tokens=200", "--key_file=key"]


@pytest.fixture(scope="module")
def brief(folder):
    """A server with a key in a file, which has little time for a request."""
    (folder / "key").write_text("secret\n")
    with serving(folder, *FILED, "--deadline=2") as server:
        yield server


def test_what_takes_too_long_is_told_and_frees_its_slots(brief):
    host, port = brief.url.removeprefix("http://").split(":")
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret"
    body = {"model": "long", "prompt": ["user"] * 16, "n": 4, "max_tokens": 200}
    with contextlib.ExitStack() as stack:
        slow, silent, half, later = (
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            for _ in range(4)
        )
        slow.sendall(f"{head}\r\nContent-Length: 9\r\n\r\n{{".encode())
        half.sendall(head.encode())
        later.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answered = b""
        while not answered.endswith(b"}"):
            answered += later.recv(2**12)
        assert answered.startswith(b"HTTP/1.1 200 ")
        later.sendall(head.encode())
        status, answer, _ = post(brief, "/v1/completions", json.dumps(body).encode())
        assert (status, answer["error"]["type"]) == (504, "timeout_error")
        assert answer["error"]["message"] == "no answer within 2 s"
        assert slow.recv(2**12).startswith(b"HTTP/1.1 408 ")
        for unasked in (silent, half, later):
            unasked.settimeout(5)
            assert unasked.recv(2**12) == b""  # The server closes it.
    wait_for(lambda: metric(brief, "num_requests_running") == 0)
    assert metric(brief, "num_requests_waiting") == 0


def test_a_killed_server_starts_again_and_a_stopped_one_answers_what_has_begun(
    brief, folder
):
    def said(client):
        cards = client.models.list()
        return {
            card.id: choice_of(complete(client, card.id, TEXTS[0])).text
            for card in cards
        }

    def client_of(server):
        url = f"{server.url}/v1"
        return openai.OpenAI(base_url=url, api_key="secret", max_retries=0)

    with client_of(brief) as client:
        before = said(client)
    assert before.keys() == {"model", *PROMPTS}
    assert brief.stop(signal.SIGKILL) == -signal.SIGKILL
    # The folder's file of a name that --prompts gives does not take its place.
    given = ["--prompts", "short=bank/short.safetensors"]
    with serving(folder, *FILED, *given) as server:
        told = "did not load short: --prompts names another file 'short'"
        assert any(told in line for line in server.lines)
        with client_of(server) as client:
            compiled = compiled_of(server)
            assert said(client) == before
            assert compiled_of(server) == compiled
            stream = iter(complete(client, "long", "a", max_tokens=200, stream=True))
            next(stream)
            server.process.send_signal(signal.SIGTERM)
            *_, last = stream
            assert last.choices[0].finish_reason in ("stop", "length")
        assert server.process.wait(timeout=30) == 0


def compiled_of(server) -> int:
    return json.loads(fetch(server, "/v1/info"))["compiled"]


def wait_for(condition) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def fetch(server, path) -> str:
    headers = {"Authorization": "Bearer secret"}
    request = urllib.request.Request(f"{server.url}{path}", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def metrics_of(server) -> str:
    return fetch(server, "/metrics")


def metric(server, name: str) -> float:
    lines = metrics_of(server).splitlines()
    (line,) = [x for x in lines if x.startswith(f"jaxprompt:{name}{{")]
    return float(line.split()[-1])
