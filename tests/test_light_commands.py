"""What a command imports: TensorFlow only where it reads data, JAX behind names."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp

from jaxprompt.prompts.file import write_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance

RUN = "gin/runs/prompt_tuning.gin"
SWEEP = "gin/recipes/lester2021/figure3a_prompt_length.gin"

COMMANDS = {
    "doctor --help": "usage: jaxprompt doctor",
    "train --workdir": "expected one argument",
    "train --gin_file=nofile.gin --workdir=run": "no gin file nofile.gin",
    f"train --gin_file={RUN} --gin.STEPS='many' --workdir=run": "Pace.steps is 'many'",
    "evaluate --prompt=absent.safetensors": "no prompt file at absent.safetensors",
    "predict --prompt=absent.safetensors": "no prompt file at absent.safetensors",
    "submit --prompt=absent.safetensors --output=x": "no prompt file at absent.safete",
    "doctor --gin_file=nofile.gin": "no gin file nofile.gin",
    "sweep --gin_file=nofile.gin --workdir=runs": "no gin file nofile.gin",
    f"sweep --gin_file={RUN} --workdir=runs": "no sweep in",
    f"sweep --gin_file={SWEEP} --gin.STEPS='many' --workdir=runs": "Pace.steps is 'man",
    f"sweep --gin_file={SWEEP} --gin.WARMUP=99999 --workdir=runs": "warmup of 99999 st",
    "plan --topology=unheard-of": "no TPU slice 'unheard-of'",
    "export own.safetensors --format=google --output=own.npy": "wrote own.npy",
    "export absent.safetensors --format=stablehlo --output=o": "no prompt file at abse",
    "import absent.npy --backbone=x --output=y": "no prompt file at absent.npy",
    "import own.npy --backbone=x --output=taken.safetensors": "wrote taken.safetensors",
    "inspect --without_model --prompt=own.safetensors": "mean norm 2.8",
    "report absent --output=runs.html": "no folder absent",
    "push --prompt=own.safetensors --repo=a/b/c": "repository 'a/b/c'",
    "pull a/b/c --output=y": "repository 'a/b/c'",
}
"""Commands that read no data, and a part of what they say."""

PROGRAM = """
import contextlib, io, sys
from jaxprompt.cli import main

for command in sys.argv[1:]:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        with contextlib.suppress(SystemExit):
            main(command.split())
    heavy = [name for name in ("tensorflow", "seqio", "t5") if name in sys.modules]
    print(repr((command, heavy, told.getvalue())))
"""


def test_commands_that_read_no_data_import_no_tensorflow(tmp_path: Path):
    prompt = make_prompt(jnp.ones((4, 8)))
    where = Provenance(
        backbone="bundled:mini",
        revision=None,
        fingerprint="0" * 16,
        length=4,
        width=8,
        task="own",
    )
    write_prompt(tmp_path / "own.safetensors", prompt, where)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *COMMANDS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    lines = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(COMMANDS)
    for command, heavy, told in lines:
        assert COMMANDS[command] in told
        assert not heavy, f"{command} imports {', '.join(heavy)}"


NAMES = {
    f"train --gin_file={RUN} --workdir=run --gin.STPES=3": "did you mean STEPS?",
    "train --gin_file=misspelt.gin --workdir=run": "matching 'Paec'",
    "train --gin_file=field.gin --workdir=run": "'setps'",
    "train --gin_file=nofile.gin --workdir=run": "no gin file nofile.gin",
    f"sweep --gin_file={SWEEP} --workdir=runs --gin.Swep.tasks=[]": "matching 'Swep'",
    "doctor --gin.MODLE='x'": "did you mean MODEL?",
    "plan --topology=v5e:1x1 --gin.MODLE='x'": "did you mean MODEL?",
    "evaluate --prompt=there --gin_file=misspelt.gin": "matching 'Paec'",
    "predict --prompt=absent.safetensors": "no prompt file at absent.safetensors",
    "train --gin_file=gin/tasks/sst.gin --workdir=run": "mean gin/tasks/sst2.gin?",
    "list tasks": "gin/tasks/boolq.gin",
    "list models": "bundled:nano",
    "completion bash": "--gin.LEARNING_RATE=",
    "new rows.csv": "wrote rows.gin",
}
"""Commands with a misspelt name, or that need no model, and what they say."""

NAMES_PROGRAM = PROGRAM.replace('"tensorflow", "seqio", "t5"', '"jax", "flax", "optax"')


RUN_PROGRAM = """
import sys
from jaxprompt.cli import main

status = main(sys.argv[1:])
print(status, [name for name in {heavy} if name in sys.modules])
"""


def test_a_run_on_own_data_imports_what_it_computes_with_alone(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("text,label\n" + "a b c,x\nd e f,y\n" * 20)
    heavy = ("tensorflow", "seqio", "t5", "orbax", "sklearn", "scipy")
    settings = {
        "MODEL": "bundled:nano",
        "OwnTask.files": "rows.csv",
        "OwnTask.share": {"train": 0.5, "validation": 0.5},
        "OwnTask.inputs": "{text}",
        "OwnTask.labels": {"x": "yes", "y": "no"},
        "BATCH_SIZE": 8,
        "PROMPT_LENGTH": 4,
    }
    command = ["train", "--dry_run", "--workdir=run", f"--gin_file={RUN}"]
    command += ["--gin_file=gin/tasks/own.gin"]
    command += [f"--gin.{name}={value!r}" for name, value in settings.items()]
    done = subprocess.run(
        [sys.executable, "-c", RUN_PROGRAM.format(heavy=heavy), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_misspelt_names_are_told_and_lists_made_without_jax(tmp_path: Path):
    (tmp_path / "misspelt.gin").write_text("Paec.steps = 3\n")
    (tmp_path / "field.gin").write_text("Pace.setps = 3\n")
    (tmp_path / "there").write_text("")
    (tmp_path / "rows.csv").write_text("text,label\na b c,x\nd e f,y\ng h i,x\n")
    done = subprocess.run(
        [sys.executable, "-c", NAMES_PROGRAM, *NAMES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    lines = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(NAMES)
    for command, heavy, told in lines:
        assert NAMES[command] in told
        assert not heavy, f"{command} imports {', '.join(heavy)}"


def test_who_looks_at_a_terminal_is_told_at_once_that_it_starts(tmp_path: Path):
    ours, theirs = os.openpty()
    started = time.monotonic()
    command = [sys.executable, "-m", "jaxprompt", "report", "absent", "--output=x"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=theirs) as process:
        os.close(theirs)
        first = os.read(ours, 1000)
        seconds = time.monotonic() - started
        process.wait()
    os.close(ours)
    assert re.match(rb"jaxprompt [\d.]+, JAX [\d.]+: starting jaxprompt report", first)
    # Of the promised 1.5 s on a machine of its own.
    assert seconds < 15
