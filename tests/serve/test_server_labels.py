"""Heads are served as predict answers, whoever shares a batch."""

import concurrent.futures
import json
import urllib.error
import urllib.request
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from browser import browsing, find_chromium
from letters_bert import save_letters_bert
from served_models import serving

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config.answering import describe
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import make_deep, make_prompt

TEXTS = ["a", "b c d", "h " * 12, "e f"]
COMMON = ["MODEL='bert'", "BATCH_SIZE=8", "INPUT_LENGTH=24"]
TRAINED = ["TRAINS='prompt+head'", "PROMPT_INIT='normal'"]
CLASSES = ["TASK=@OwnTask()", "OwnTask.name='own'", "OwnTask.target='label'"]
SPANS = ["TASK=@OwnSpans()", "OwnSpans.name='find'", "OwnSpans.stride=2"]
SPANS += ["OwnSpans.question_length=4"]
KINDS = {
    "two": [*CLASSES, "OwnTask.inputs='{text}'", "OwnTask.labels={'0':'no','1':'yes'}"],
    "other": [*CLASSES, "OwnTask.inputs='a {text}'"],
    "pair": [*CLASSES, "OwnTask.inputs='{text}{sep:1}{more}'"],
    "tags": ["TASK=@OwnTags()", "OwnTags.name='tags'", "OwnTags.kinds=['X', 'Y']"],
    "fill": [*CLASSES, "OwnTask.inputs='{text} {mask:1}'"],
    "choose": [
        "TASK=@OwnChoices()",
        "OwnChoices.name='choose'",
        "OwnChoices.choices={'x': '{text}{sep:1}{one}', 'y': '{text}{sep:1}{two}'}",
        "OwnChoices.target='label'",
    ],
    "find": [*SPANS, "OwnSpans.null_threshold=None"],
    "none": [*SPANS, "OwnSpans.null_threshold=-1e6"],
}
LABELS = {"other": "{'0':'no','1':'yes'}", "pair": "{'0':'x','1':'y','2':'z'}"}
LABELS["fill"] = "{'0':'g','1':'h'}"
SIZES = {"two": (2, 3), "other": (5, 0), "pair": (0, 3), "tags": (0, 3), "fill": (3, 0)}
SIZES |= {"choose": (2, 0), "find": (0, 3), "none": (0, 3)}
"""Soft tokens, and keys and values, of each prompt."""
HEADS = {"tags": "tags", "fill": "mask", "choose": "choices"}
HEADS |= {"find": "spans", "none": "spans"}
COLUMNS = {"pair": 3, "tags": 5, "choose": 1}


def write_prompt(folder: Path, name: str, *, columns: int = 0) -> None:
    """Writes a prompt and its head, with as many columns as labels, or so many."""
    backbone = open_backbone(find_checkpoint(folder / "bert"))
    soft, deep = SIZES[name]
    draw = np.random.default_rng(len(name))
    shape = (2, 2, deep, 2, 8)
    sites = {}
    if deep:
        keys, values = (jnp.asarray(x) for x in draw.normal(size=shape))
        sites = {"encoder": make_deep(keys, values)}
    rows = jnp.asarray(draw.normal(size=(soft, 16)), jnp.float32)
    settings = [*COMMON, *KINDS[name]]
    settings += [f"OwnTask.labels={LABELS[name]}"] if name in LABELS else []
    kind = HEADS.get(name, "classes")
    settings += [f"HEAD='{kind}'", f"PROMPT_LENGTH={max(soft, 1)}"]
    settings += TRAINED if kind != "mask" else ["TRAINS='prompt'"]
    settings += ["TARGET_LENGTH=16"] if kind == "tags" else []
    run, config = configure(["gin/runs/prompt_tuning.gin"], settings)
    count = columns or COLUMNS.get(name, 2)
    head = {
        "weight": jnp.asarray(draw.normal(size=(1, 16, count)), jnp.float32),
        "bias": jnp.asarray(draw.normal(size=(1, count)), jnp.float32),
    }
    save_prompt(
        folder / "bank" / f"{name}.safetensors",
        make_prompt(rows, sites),
        backbone,
        weights=None if kind == "mask" else head,
        head=kind,
        task=run.data.tasks[0].label,
        config=config,
        answering=describe(run),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    (folder / "bank").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_letters_bert(folder)
        for name in KINDS:
            write_prompt(folder, name)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    flags = ["--bank=bank", "--slots=3"]
    with serving(folder, *flags, model="bert", JAXPROMPT_ADMIN_KEY="chief") as server:
        yield server


def post(server, path, **body):
    headers = {"Content-Type": "application/json", "Authorization": "Bearer chief"}
    request = urllib.request.Request(
        f"{server.url}{path}", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["error"]


def asked_of(name, text):
    if name == "pair":
        return {"text": text, "more": "g h"}
    if name == "choose":
        return {"text": text, "one": "g h", "two": "a b c"}
    if HEADS.get(name) == "spans":
        # Of 24 tokens, a window has 18: most texts are read in two or three.
        return {"question": "a b", "context": f"  {text} a c e g b  d f h {text} b a"}
    return {"words": text} if name == "tags" else {"text": text}


@pytest.fixture(scope="module")
def offline(folder):
    """What `jaxprompt predict` answers, and how likely: (prompt, text) -> row."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in KINDS:
            rows = [json.dumps(asked_of(name, text)) + "\n" for text in TEXTS]
            Path("asked.jsonl").write_text("".join(rows))
            flags = ["--input=asked.jsonl", "--output=said.jsonl", "--overwrite"]
            flags += ["--scores", f"--prompt=bank/{name}.safetensors"]
            assert main(["predict", *flags]) == 0
            lines = Path("said.jsonl").read_text().splitlines()
            found |= {
                (name, text): json.loads(line)
                for text, line in zip(TEXTS, lines, strict=True)
            }
    return found


def check(name, text, answer, offline):
    (one,) = answer["data"]
    row = offline[name, text]
    if name == "tags":
        tags = [tag["tag"] for tag in one["tags"]]
        assert (tags, len(tags)) == (row["prediction"].split(), len(text.split()))
        assert [tag["word"] for tag in one["tags"]] == text.split()
        likely = [tag["probability"] for tag in one["tags"]]
        np.testing.assert_allclose(likely, row["probabilities"], atol=2e-6)
        return
    if HEADS.get(name) == "spans":
        assert one["answer"] == row["prediction"]
        assert (one["answer"] == "") == (one["start"] is None) == (name == "none")
        if one["answer"]:
            assert row["context"][one["start"] : one["end"]] == one["answer"]
        assert one["probability"] == one["probabilities"][one["answer"]]
    else:
        assert one["label"] == row["prediction"]
    assert one["probabilities"].keys() == row["probabilities"].keys()
    for label, likely in row["probabilities"].items():
        assert one["probabilities"][label] == pytest.approx(likely, abs=2e-6)


def test_labels_are_those_of_predict_alone_and_mixed(server, offline):
    def ask(name, text):
        return post(server, "/v1/classify", model=name, input=asked_of(name, text))

    for name, text in offline:
        check(name, text, ask(name, text), offline)
    with concurrent.futures.ThreadPoolExecutor(len(offline)) as pool:
        mixed = pool.map(lambda one: (one, ask(*one)), offline)
        for (name, text), answer in mixed:
            check(name, text, answer, offline)


def test_words_that_were_not_read_have_the_first_tag(server, folder, monkeypatch):
    # A word of a character that the vocabulary drops, and words that are cut.
    asked = ["a \u200b b", f"{'a,b,c,d,e,f,g,h ' * 2}b c d"]
    monkeypatch.chdir(folder)
    Path("cut.jsonl").write_text(
        "".join(json.dumps({"words": x}) + "\n" for x in asked)
    )
    flags = ["--input=cut.jsonl", "--output=cut_said.jsonl", "--overwrite"]
    assert main(["predict", "--prompt=bank/tags.safetensors", *flags]) == 0
    said = [
        json.loads(line)["prediction"].split()
        for line in Path("cut_said.jsonl").read_text().splitlines()
    ]
    answer = post(
        server, "/v1/classify", model="tags", input=[{"words": x} for x in asked]
    )
    tags = [[tag["tag"] for tag in one["tags"]] for one in answer["data"]]
    assert tags == said
    unread = [
        [n for n, tag in enumerate(one["tags"]) if tag["probability"] is None]
        for one in answer["data"]
    ]
    assert unread == [[1], [2, 3, 4]]
    assert tags[1][2:] == ["O"] * 3
    error = post(server, "/v1/classify", model="tags", input={"words": "a " * 20})
    assert "20 words, but the target length is 16" in error["message"]


def test_prompts_of_the_same_labels_vote(server, offline):
    answer = post(server, "/v1/classify", model="two+other", input=TEXTS)
    for text, one in zip(TEXTS, answer["data"], strict=True):
        both = [offline[name, text] for name in ("two", "other")]
        assert sum(one["votes"].values()) == 2
        mean = np.mean([row["probabilities"]["yes"] for row in both])
        assert one["probabilities"]["yes"] == pytest.approx(mean, abs=2e-6)
    assert answer["usage"]["prompt_tokens_details"]["soft_tokens"] == 4 * (2 + 3 + 5)


def test_each_answer_has_the_fields_that_the_description_names(server, offline):
    with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        told = json.loads(answer.read())["paths"]["/v1/classify"]["post"]["responses"]
    schema = told["200"]["content"]["application/json"]["schema"]
    known = schema["properties"]["data"]["items"]["oneOf"]
    found = []
    for name in ("two", "tags", "choose", "none"):
        asked = asked_of(name, TEXTS[1])
        (one,) = post(server, "/v1/classify", model=name, input=asked)["data"]
        (place,) = [n for n, x in enumerate(known) if x["required"] == [*one]]
        assert known[place]["properties"].keys() == one.keys()
        found.append(place)
    assert found == [0, 1, 0, 2]


def test_the_page_shows_where_no_text_holds_the_answer_and_where_one_does(
    server, tmp_path
):
    find_chromium()
    asked = asked_of("find", "b c")
    with browsing(tmp_path / "profile") as page:
        page.send("Page.navigate", url=f"{server.url}/")
        page.wait_for("document.querySelectorAll('#prompts input').length == 9")
        page.run(
            "document.querySelectorAll('#prompts input').forEach((box) => {"
            "if (box.checked !== ['find', 'none'].includes(box.value)) box.click(); })"
        )
        for field, text in asked.items():
            page.run(f"document.getElementById('field-{field}').value = {text!r}")
        page.run("document.getElementById('classify').click()")
        page.wait_for(
            "document.querySelectorAll('article').length == 2 && "
            "[...document.querySelectorAll('article')]"
            ".every((one) => one.querySelector('.bar'))"
        )
        said = page.run(
            "[...document.querySelectorAll('.said')].map((one) => one.textContent)"
        )
        told = page.run("document.querySelector('article .told').textContent")
        assert page.problems == []
    (one,) = post(server, "/v1/classify", model="find", input=asked)["data"]
    assert said == [one["answer"], "no answer in the text"]
    assert told == f"characters {one['start']} to {one['end']} of the context"


def test_windows_of_a_text_stand_in_their_order_whoever_shares_the_batch(
    server, offline
):
    texts = [asked_of("find", text) for text in TEXTS]
    together = post(server, "/v1/classify", model="find", input=texts)
    for text, one in zip(TEXTS, together["data"], strict=True):
        check("find", text, {"data": [one]}, offline)


LONG = {"question": "a", "context": "b " * 1500}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            "classify",
            {"model": "two", "input": "a", "labels": ["x", "y"]},
            "of its own",
        ),
        ("classify", {"model": "find", "input": "a"}, "question, context fields: send"),
        (
            "classify",
            {"model": "find", "input": {"question": "a"}},
            "no field 'context'",
        ),
        ("classify", {"model": "choose", "input": {"text": "a"}}, "no field 'one'"),
        ("classify", {"model": "find", "input": LONG}, "windows to read, but 67 may"),
        ("classify", {"model": "find+none", "input": LONG}, "of spans, which are not"),
        ("classify", {"model": "two+pair", "input": "a"}, "heads of other labels"),
        ("classify", {"model": "tags+tags", "input": "a"}, "not voted on"),
        ("classify", {"model": "pair", "input": "a"}, "reads text, more fields"),
        ("classify", {"model": "bert", "input": "a"}, "writes no words"),
        ("completions", {"model": "two", "prompt": "a"}, "writes no words"),
        ("completions", {"model": "bert", "prompt": "a"}, "writes no words"),
    ],
)
def test_what_a_head_does_not_answer_is_told(server, path, body, told):
    assert told in post(server, f"/v1/{path}", **body)["message"]


def test_prompts_come_and_go_and_answers_stay(server, folder, offline):
    def ask():
        return post(server, "/v1/classify", model="two", input=TEXTS[1])

    compiled = json.loads(urllib.request.urlopen(f"{server.url}/v1/info").read())
    for _ in range(3):
        post(server, "/v1/unload_prompt", prompt_name="other")
        post(server, "/v1/load_prompt", prompt_name="other")
        check("two", TEXTS[1], ask(), offline)
    again = json.loads(urllib.request.urlopen(f"{server.url}/v1/info").read())
    assert again["compiled"] == compiled["compiled"]
    card = post_card(server, "tags")
    assert (card["metadata"]["head"], card["metadata"]["fields"]) == ("tags", ["words"])


def test_a_head_of_other_labels_is_told_and_changes_nothing(server, folder, offline):
    whole = (folder / "bank" / "two.safetensors").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_prompt(folder, "two", columns=3)
    answer = post(server, "/v1/load_prompt", prompt_name="two")
    assert "a head of weights [16, 3] and [3]" in answer["message"]
    answer = post(server, "/v1/classify", model="two", input=asked_of("two", "a"))
    check("two", "a", answer, offline)
    (folder / "bank" / "two.safetensors").write_bytes(whole)


def post_card(server, name):
    with urllib.request.urlopen(f"{server.url}/v1/models/{name}") as answer:
        return json.loads(answer.read())
