"""`jaxprompt show`: rows with soft tokens, truncation and ids, before training."""

import json
from pathlib import Path

import pytest
from letters_bert import save_letters_bert

from jaxprompt.bundled import resolve
from jaxprompt.cli import main
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

RUN = [
    "--gin_file=gin/runs/prompt_tuning.gin",
    "--gin.MODEL='bundled:nano'",
    "--gin.TASK=@OwnTask()",
    "--gin.OwnTask.name='films'",
    "--gin.OwnTask.files={'train': 'rows.jsonl'}",
    "--gin.OwnTask.inputs='{slots:1} {text} {slots:2} It was {mask:1} .'",
    "--gin.OwnTask.target='label'",
    "--gin.OwnTask.labels={'0': 'bad', '1': 'good'}",
    "--gin.TARGET_LENGTH=4",
    "--gin.PROMPT_LENGTH=3",
]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"text": "a quiet film about rain", "label": n % 2, "long": "rain and " * 20}
        for n in range(5)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_three_rows_are_shown_with_slots_cut_text_and_ids(capsys):
    assert main(["show", *RUN, "--gin.INPUT_LENGTH=8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    nano = load_vocabulary(Path(resolve("bundled:nano")) / "spiece.model")
    assert [line for line in lines if not line.startswith(" ")] == [
        f"films, rows.jsonl:{number}" for number in (1, 2, 3)
    ]
    reads, cut, ids, answers = (line.strip() for line in lines[1:5])
    assert reads.startswith("reads [soft tokens 0 to 0] ")
    assert " [soft tokens 1 to 2] " in reads
    assert "<extra_id_0>" in reads
    assert cut.startswith("cut ")
    assert "with room for 8" in cut or "room for 8: " in cut
    assert cut.endswith("rain'")
    numbers = list(map(int, ids.removeprefix("ids ").split()))
    assert len(numbers) == 3 + 8
    assert [n - 6144 for n in numbers if n >= 6144] == [0, 1, 2]
    (sentinel,) = nano.encode("<extra_id_0>")
    expected = [sentinel, *nano.encode("bad"), nano.eos_id]
    assert answers.endswith(f", ids {' '.join(map(str, expected))}")


def test_a_row_that_fits_is_whole(capsys):
    assert main(["show", *RUN, "--gin.INPUT_LENGTH=64", "--rows=1"]) == 0
    said = capsys.readouterr().out
    assert "It was<extra_id_0> .'" in said
    assert "with room for 64" in said
    assert "cut" not in said
    assert said.count("films, ") == 1


def test_a_row_is_shown_to_its_end(capsys):
    more = "--gin.OwnTask.inputs='{long} It was {mask:1} .'"
    assert main(["show", *RUN, more, "--gin.INPUT_LENGTH=64", "--rows=1"]) == 0
    reads = capsys.readouterr().out.splitlines()[1]
    assert reads.count("rain") == 20
    assert reads.endswith("It was<extra_id_0> .'")


def test_what_stands_behind_a_separator_is_shown(tmp_path: Path, capsys):
    save_letters_bert(tmp_path)
    Path("two.jsonl").write_text('{"a": "a b", "b": "c d e f", "label": "0"}\n')
    choice = ["--gin.TASK=@OwnChoices()", "--gin.OwnChoices.name='two'"]
    choice += ["--gin.OwnChoices.files={'train': 'two.jsonl'}"]
    choice += ["--gin.OwnChoices.choices={'0': '{a}{sep:1}{b}', '1': '{b}{sep:1}{a}'}"]
    run = [RUN[0], "--gin.MODEL='bert'", "--gin.TRAINS='prompt+head'", *choice]
    run += ["--gin.HEAD='choices'", "--gin.PROMPT_LENGTH=1"]
    assert main(["show", *run, "--gin.INPUT_LENGTH=8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first, cut, _, second = (line.strip() for line in lines[1:5])
    assert first == "reads [soft tokens 0 to 0] '[CLS] a b [SEP] c d e'"
    assert cut.endswith("room for 8: 'f'")
    assert second == "reads [soft tokens 0 to 0] '[CLS] c d e f [SEP] a'"


def test_a_prompt_of_another_length_is_told(capsys):
    assert main(["show", *RUN, "--gin.PROMPT_LENGTH=5"]) == 1
    assert "places for 3 soft tokens, but the prompt has 5" in capsys.readouterr().err


def test_a_target_length_too_short_for_the_tags_is_told(tmp_path: Path, capsys):
    save_letters_bert(tmp_path)
    Path("tags.txt").write_text("a O\n\na B-X\nb I-X\nc O\n")
    run = [RUN[0], "--gin.MODEL='bert'", "--gin.TRAINS='prompt+head'"]
    run += ["--gin.HEAD='tags'", "--gin.TASK=@OwnTags()", "--gin.OwnTags.name='ner'"]
    run += ["--gin.OwnTags.files={'train': 'tags.txt'}", "--gin.OwnTags.kinds=['X']"]
    run += ["--gin.PROMPT_LENGTH=1", "--rows=1"]
    assert main(["show", *run, "--gin.TARGET_LENGTH=2"]) == 1
    told = "tags.txt:3: 3 words, but the target length is 2: set it to"
    assert told in capsys.readouterr().err
    assert main(["show", *run, "--gin.TARGET_LENGTH=3"]) == 0
