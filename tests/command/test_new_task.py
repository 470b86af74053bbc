"""`jaxprompt new` writes a gin file that reads the data it was made from."""

import json
import shlex
from pathlib import Path

import pytest
from byte_vocabulary import byte_vocabulary
from gguf_files import write_chat_model

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_tickets(name: str = "tickets.csv", rows: int = 120) -> None:
    kinds = ("billing", "tech_support", "Other thing")
    lines = [
        f"{n},please help me with number {n} today,{kinds[n % 3]},2026-01-01"
        for n in range(rows)
    ]
    Path(name).write_text("\n".join(["id,text,category,day", *lines]) + "\n")


def test_a_table_of_labels_becomes_a_task_that_reads_all_of_it(capsys):
    write_tickets()
    assert main(["new", "tickets.csv"]) == 0
    said = capsys.readouterr().out
    assert "tickets.csv: 120 rows, columns id, text, category, day" in said
    assert "label: category, 3 different ones: 'billing' 33%" in said
    assert "--gin_file=tickets.gin --workdir=runs/tickets" in said
    run, _ = configure(["tickets.gin"], [])
    task = run.data.tasks[0].load(byte_vocabulary())
    assert task.labels == ("billing", "tech support", "other thing")
    splits = ("train", "validation", "test")
    assert sum(task.num_examples(split) for split in splits) == 120
    assert run.data.scored_split == "test"
    assert (run.evaluation.method, run.batch_size) == ("rank", 16)
    assert task.template is not None
    assert task.template.fields == ("text",)


def test_files_of_splits_are_looked_at_together():
    write_tickets("a.csv", 90)
    Path("b.csv").write_text("id,text,category,day\n1,one more of them,rare,now\n")
    assert main(["new", "a.csv", "b.csv", "--output=both.gin"]) == 0
    run, _ = configure(["both.gin"], [])
    task = run.data.tasks[0].load(byte_vocabulary())
    assert task.num_examples("train") == 90
    assert task.num_examples("validation") == 1
    assert "rare" in (task.labels or ())


def test_texts_in_pairs_and_free_answers():
    rows = [
        {"question": f"what is it about {n} ?", "context": f"it is about {n} today"}
        | {"answer": f"about {n}", "extra": None}
        for n in range(40)
    ]
    Path("qa.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert main(["new", "qa.jsonl"]) == 0
    run, _ = configure(["qa.gin"], [])
    (task,) = run.data.tasks
    assert "question: {question} context: {context}" in task.told
    assert run.prompt.init == "vocabulary"
    assert run.evaluation.method == "greedy"
    assert task.load(byte_vocabulary()).labels is None


def test_numbers_are_compared_as_numbers_and_several_answers_are_right():
    rows = [
        {"text": f"how like is {n} to it", "score": n % 7 / 2, "answer": [f"{n}", "x"]}
        for n in range(40)
    ]
    Path("a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert main(["new", "a.jsonl", "--label=score"]) == 0
    assert main(["new", "a.jsonl", "--text=text", "--output=b.gin"]) == 0
    numbers, several = (
        configure([file], [])[0].data.tasks[0] for file in ("a.gin", "b.gin")
    )
    assert numbers.metrics == ("pearson", "spearman")
    assert (several.target, several.metrics) == ("answer", ("exact_match",))
    assert several.load(byte_vocabulary()).num_examples("train") > 20


def test_conversations_become_a_task_whose_answers_are_learned(capsys):
    turns = [{"from": "human", "value": "is it so?"}, {"from": "gpt", "value": "yes"}]
    rows = [{"id": n, "conversations": turns * (1 + n % 2)} for n in range(60)]
    Path("chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["new", "chats.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "chats.jsonl: 60 conversations of 3.0 turns, 90 answers to learn" in said
    write_chat_model(Path("chat.gguf"))
    run, _ = configure(["chats.gin"], ["MODEL='chat.gguf'"])
    task = run.data.tasks[0].load(load_vocabulary("chat.gguf", causal=True))
    splits = ("train", "validation", "test")
    assert sum(task.num_examples(split) for split in splits) == 90
    longest = max(len(pair.inputs) for pair in task.pairs("train", range(60)))
    assert longest <= run.data.input_length
    silent = [{"messages": [{"role": "user", "content": "?"}]}]
    Path("chats.jsonl").write_text(json.dumps(silent[0]) + "\n")
    assert main(["new", "chats.jsonl", "--overwrite"]) == 1
    assert "no turn of the assistant to learn" in capsys.readouterr().err


def test_columns_may_be_named_and_a_file_is_not_overwritten(capsys):
    write_tickets()
    assert main(["new", "tickets.csv", "--text=day", "--label=text"]) == 0
    assert "OwnTask.target = 'text'" in Path("tickets.gin").read_text()
    capsys.readouterr()
    assert main(["new", "tickets.csv"]) == 1
    assert "tickets.gin exists" in capsys.readouterr().err
    assert main(["new", "tickets.csv", "--overwrite"]) == 0
    Path("tickets.csv").rename("my tickets.csv")
    capsys.readouterr()
    assert main(["new", "my tickets.csv"]) == 0
    show, train = capsys.readouterr().out.splitlines()[-2:]
    assert shlex.split(show)[2:] == ["--gin_file=my tickets.gin"]
    assert shlex.split(train)[-1] == "--workdir=runs/my tickets"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tickets.csv", "--label=categry"], "did you mean category?"),
        (["absent.csv"], "absent.csv: no such file"),
        (["tiket.csv"], "tiket.csv: no such file: did you mean tickets.csv?"),
        (["of_europe.csv"], "A .csv has commas, a .tsv tabs"),
        (["one.csv"], "a task needs two, a text and its label or answer"),
        (["none.csv"], "name it by --label, out of a, b"),
        (["tickets.csv"] * 4, "4 files: give one, which is divided, or those of"),
    ],
)
def test_what_is_no_task_is_told(arguments: list[str], message: str, capsys):
    write_tickets()
    Path("one.csv").write_text("text\na\nb\n")
    Path("none.csv").write_text("a,b\n1,2\n3,4\n")
    Path("of_europe.csv").write_text("text;label\na;1\nb;2\n")
    assert main(["new", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(Path().glob("*.gin"))
