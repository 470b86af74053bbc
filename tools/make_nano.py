"""Makes the bundled nano: vocabulary, pre-training, LM adaptation, one after another.

    python tools/make_nano.py OUT --text novels

Each stage is the ordinary run of its recipe in OUT, so a killed one resumes and a
finished one is not run again. OUT/nano then is what the package holds as
jaxprompt/bundled/nano, the LM-adapted model with its card; the card of pre-training,
in OUT/pretrain/model, is kept in docs/nano.
"""

import argparse
import shutil
from pathlib import Path

from jaxprompt.command.configure import configure
from jaxprompt.runs import train

RECIPES = "gin/recipes/nano"
LICENCE = ["LICENSE='apache-2.0'", "LANGUAGES=['en']"]


def make_nano(out: Path, text: str) -> Path:
    """Runs the three recipes; returns the folder to bundle.

    Args:
        out: Folder of the runs.
        text: Folder of *.txt files. The card tells it as it is written here.

    Raises:
        FileExistsError: If OUT/nano exists.
    """
    folder = out / "nano"
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it, or name another folder")

    def run(stage: str, *settings: str) -> Path:
        own = [f"TEXT={text!r}", *LICENCE, *settings]
        configured, config = configure([f"{RECIPES}/{stage}.gin"], own)
        train(configured, out / stage, config=config)
        return out / stage

    vocabulary = run("tokenizer") / "spiece.model"
    pretrained = run("pretrain", f"VOCABULARY={str(vocabulary)!r}") / "model"
    adapted = run("lm_adapt", f"MODEL={str(pretrained)!r}") / "model"
    made = out / ".nano"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(adapted, made)
    return made.rename(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the bundled nano.")
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--text", required=True, help="folder of *.txt files")
    flags = parser.parse_args()
    print(f"made {make_nano(flags.out, flags.text)}")
