"""Text of files on the screen and in cards: shown, and neither obeyed nor markup."""

import dataclasses
import functools
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from made_results import made_loss, made_member, made_result, made_vocabulary
from markdown_it import MarkdownIt

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config import Run
from jaxprompt.doctor.finding import Finding, lay_out
from jaxprompt.interop.stablehlo.readme import readme
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.pages.model_card import model_card
from jaxprompt.report.pages.prompt_card import CardPrompt, CardRun, prompt_card
from jaxprompt.report.reading.nearest import SoftToken
from jaxprompt.report.results.files import rows_of, write_results
from jaxprompt.report.text.markdown import code
from jaxprompt.runs import train
from jaxprompt.runs.measure.results import result_table
from jaxprompt.screen.terminal import say_lines

OBEYED = {
    "a colour": "\x1b[31mred",
    "a title": "\x1b]0;title\x07",
    "a clipboard": "\x1b]52;c;ZWNobyBoaQ==\x1b\\",
    "one byte of control": "\x9b2J",
    "a return": "good\rbad",
    "a line": "good\njaxprompt: all is well",
    "backspaces": "bad\x08\x08\x08good",
    "a turned direction": "\u202egnp.exe",
    "an isolate": "\u2067good\u2069",
    "a line separator": "a\u2028b",
    "a mark": "\ufeffa\u200bb",
    "a tab": "a\tb",
    "a tag": "a\U000e0041b",
}
"""What a terminal obeys, or does not show."""

MARKUP = {
    "a link": "[good](https://x.org)",
    "a picture": "![good](https://x.org/a.png)",
    "a script": "<script>alert(1)</script>",
    "a frame": "</summary></details><iframe src='https://x.org'></iframe>",
    "a heading": "\n# good",
    "a list": "- good\n- good",
    "a cell": "good | good |\n| good",
    "a line's end": "</td><h1>",
    "code": "`good` ``` ~~~",
    "the end of code": "\n```\n# good",
    "emphasis": "**good** _good_ __good__ ~~good~~",
    "an entity": "&lt;&#60;",
    "a rule": "\n---\ngood: yes",
    "an escape": "\\[good](https://x.org)\\",
    "mathematics": "$$good$$",
    "a quotation": "> good",
}
"""What a reader of Markdown makes more of than text."""

EVIL = {**OBEYED, **MARKUP}


def header(text: str) -> dict[str, Any]:
    fields = ("backbone", "revision", "fingerprint", "task", "metric", "init", "source")
    return {
        **dict.fromkeys(fields, text),
        "length": 2,
        "width": 3,
        "versions": {text: text},
    }


def write_prompt_file(text: str) -> Path:
    path = Path("p.safetensors")
    rows = {"prompt": np.ones((2, 3), np.float32)}
    metadata = {"jaxprompt": json.dumps(header(text))}
    safetensors.numpy.save_file(rows, path, metadata)
    return path


def inspect(text: str) -> None:
    file = write_prompt_file(text)
    assert main(["inspect", "--without_model", f"--prompt={file}"]) == 0


def evaluate(text: str) -> None:
    assert main(["evaluate", f"--prompt={write_prompt_file(text)}"]) == 1


def predict(text: str) -> None:
    Path("rows.jsonl").write_text(json.dumps({"text": text}))
    file = write_prompt_file(text)
    assert main(["predict", f"--prompt={file}", "--input=rows.jsonl"]) == 1


def ensemble(text: str) -> None:
    file = write_prompt_file(text)
    files = [f"--prompt={file}"] * 2
    assert main(["evaluate", "--ensemble", *files, "--split", text]) == 1


def doctor(text: str) -> None:
    assert main(["doctor", f"--prompt={write_prompt_file(text)}"]) == 1
    say_lines(lay_out([Finding("labels", "wrong", None, f"the label {text} is none")]))


def submit(text: str) -> None:
    file = write_prompt_file(text)
    assert main(["submit", f"--prompt={file}", "--output=out"]) == 1


def export(text: str) -> None:
    file = write_prompt_file(text)
    assert main(["export", str(file), "--output=a.npy", "--overwrite"]) == 0


def take(text: str) -> None:
    np.save("a.npy", np.ones((2, 3), np.float32))
    told = [f"--backbone={text}", f"--task={text}", "--output=b.safetensors"]
    assert main(["import", "a.npy", "--overwrite", *told]) == 0
    assert main(["import", text, "--overwrite", *told]) == 1


def push(text: str) -> None:
    file = write_prompt_file(text)
    assert main(["push", f"--prompt={file}", "--repo", text]) == 1


def report(text: str) -> None:
    member = made_member(task=text, metric=text, backbone=text)
    Path("runs").mkdir()
    # A folder may be called anything that has no slash and no NUL.
    run = Path("runs", text.replace("/", ":"))
    run.mkdir()
    (run / "result.json").write_text(json.dumps(made_result(member)))
    (run / "operative_config.gin").write_text(f"A = {text!r}\n")
    assert main(["report", "runs", "--output=page.html"]) == 0


def finished(text: str) -> None:
    run: Run = configure(["gin/runs/prompt_tuning.gin"], [])[0]
    shift = {text: {**made_member(), "metric": text}}
    member = made_member(task=text, metric=text, shift=shift)
    for result in (
        made_result(member),
        made_result(member, {**member, "seed": 1}),
        made_loss(task=text, objectives={text: {"rate": 1.0, **made_loss()}}),
        made_vocabulary(task=text),
    ):
        Path("result.json").write_text(json.dumps(result))
        train(run, Path())
        assert result_table(result)


def flags(text: str) -> None:
    name = text.replace("\n", " ")  # Which a flag could bring, and argparse would show.
    assert main(["train", "--gin_file", name, "--workdir=w"]) == 1
    assert main(["train", f"--gin.{name}=1", "--workdir=w"]) == 1


COMMANDS: list[Callable[[str], None]] = [
    inspect,
    evaluate,
    predict,
    ensemble,
    doctor,
    submit,
    export,
    take,
    push,
    report,
    finished,
    flags,
]


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_a_terminal_is_told_nothing_but_text(
    command: Callable[[str], None],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    command(text)
    said = capsys.readouterr()
    for line in [*said.out.split("\n"), *said.err.split("\n")]:
        assert line.isprintable(), ascii(line)
        # No line of its own either.
        assert not line.startswith("jaxprompt: all is well")
    assert said.out + said.err


def test_a_tab_that_a_backslash_wrote_is_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    path = "C:\\data\train.npy"  # As gin and Python read it.
    assert main(["import", path, "--backbone=t5", "--output=a.safetensors"]) == 1
    assert r"no prompt file at 'C:\\data\train.npy': check" in capsys.readouterr().err


def provenance(text: str) -> Provenance:
    more = {"seed": 0, "step": 5, "score": 50.0, "config": text}
    return Provenance(**header(text), **more)


def card_of_a_prompt(text: str, folder: Path) -> str:
    del folder
    member = made_member(task=text, metric=text, split=text, backbone=text)
    prompt = CardPrompt(
        file=f"prompts/{text}.safetensors",
        adapter=f"peft/{text}",
        provenance=provenance(text),
        member={**member, "metrics": {text: 50.0}},
        tokens=[SoftToken(1.0, [(text, 0.5)])],
    )
    return prompt_card(
        f"me/{text}",
        [prompt],
        result=made_result(prompt.member or {}),
        runs=[run_of(text, prompt.file)],
    )


def run_of(text: str, file: str) -> CardRun:
    facts = {text: text}
    return CardRun(
        files=[file], data=facts, training=facts, chosen_on=text, config=text
    )


def card_of_prompts(text: str, folder: Path) -> str:
    del folder
    prompts = [
        CardPrompt(
            file=f"prompts/{text}-{seed}.safetensors",
            adapter="",
            provenance=dataclasses.replace(provenance(text), seed=seed, source=""),
        )
        for seed in (0, 1)
    ]
    runs = [run_of(text, prompt.file) for prompt in prompts]
    return prompt_card(f"me/{text}", prompts, runs=runs)


def card_of_a_model(text: str, folder: Path) -> str:
    del folder
    losses = {"loss": 2.5, "other_input_loss": 3.0, "unigram_entropy": 6.5}
    result = {
        "parameters": 5,
        "steps": 5,
        "seconds": 5.0,
        "objectives": {text: losses},
        "text": {text: "ab"},
    }
    return model_card(
        result,
        name=text,
        architecture={text: text},
        config=text,
        seed=0,
        family="T5",
        model_type="t5",
        model_class="T5ForConditionalGeneration",
        causal=False,
        start=text,
        license=text,
        languages=[text],
    )


def table_of_results(text: str, folder: Path) -> str:
    rows = rows_of(text, [made_result(made_member(task=text, backbone=text))])
    write_results(folder, rows, title=text)
    return (folder / "results.md").read_text()


def readme_of_a_program(text: str, folder: Path) -> str:
    del folder
    return readme(
        provenance(text),
        "8 soft tokens",
        method="rank",
        inputs=8,
        labels=[text],
        vocabulary="spiece.model",
        text_format=f"They were formatted by {code(text)}.",
    )


PAGES: list[Callable[[str, Path], str]] = [
    card_of_a_prompt,
    card_of_prompts,
    card_of_a_model,
    table_of_results,
    readme_of_a_program,
]


def structure(document: str) -> list[str]:
    """Lists what a reader of Markdown makes of a document: everything but the text."""
    document = re.sub(r"\A---\n.*?\n---\n", "", document, flags=re.DOTALL)
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found = []
    for token in reader.parse(document):
        found.append(token.type)
        if token.type == "html_block":
            found += re.findall(r"</?\w+", token.content)
        found += [x.type for x in token.children or () if x.type != "text"]
    return found


@functools.cache
def structure_of_word(page: Callable[[str, Path], str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return structure(page("word", Path(folder)))


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_a_page_of_markdown_is_laid_out_as_ever(
    page: Callable[[str, Path], str], text: str, tmp_path: Path
):
    document = page(text, tmp_path)
    assert all(line.isprintable() for line in document.split("\n"))
    # A quick run has one word's structure for every text.
    assert structure(document) == structure_of_word(page)
