"""`list` names what there is to choose from; `completion` lets a shell complete it."""

import subprocess

import pytest

from jaxprompt.cli import main


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("tasks", "gin/tasks/boolq.gin  "),
        ("models", "bundled:nano  "),
        ("models", "any Llama  "),
        ("runs", "gin/runs/prompt_tuning.gin  "),
        ("recipes", "gin/recipes/quickstart/mini_sentiment.gin  "),
        ("inits", "class_labels    Takes the embeddings of the label words"),
        ("metrics", "mean_multiclass_f1"),
        ("heads", "classes  a linear layer"),
        ("loggers", "csv          Writes WORKDIR/metrics.csv"),
    ],
)
def test_what_there_is_to_choose_from_is_listed(kind: str, line: str, capsys):
    assert main(["list", kind]) == 0
    assert any(said.startswith(line) for said in capsys.readouterr().out.splitlines())


def complete(script: str, *words: str) -> list[str]:
    """Completes the last word in bash."""
    program = (
        f"{script}\nCOMP_WORDS=({' '.join(map(repr, words))}); "
        f"COMP_CWORD={len(words) - 1}; _jaxprompt; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_bash_completes_commands_flags_settings_and_gin_files(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert complete(script, "jaxprompt", "ev") == ["evaluate"]
    assert complete(script, "jaxprompt", "train", "--wo") == ["--workdir="]
    assert complete(script, "jaxprompt", "train", "--dry") == ["--dry_run"]
    assert complete(script, "jaxprompt", "train", "--gin.LEARN") == [
        "--gin.LEARNING_RATE="
    ]
    broken = ("jaxprompt", "train", "--gin_file", "=", "gin/tasks/bo")
    assert complete(script, *broken) == ["gin/tasks/boolq.gin"]
    assert complete(script, "jaxprompt", "list", "ta") == ["tasks"]
    assert complete(script, "jaxprompt", "transfer", "ma") == ["matrix"]
    # bash itself completes files where there is nothing to say.
    assert complete(script, "jaxprompt", "evaluate", "--prompt", "=", "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_same_words(shell: str, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("evaluate", "workdir", "gin.LEARNING_RATE", "gin/tasks/boolq.gin"):
        assert word in script
    if shell == "zsh":
        assert script.startswith("#compdef jaxprompt\n")
