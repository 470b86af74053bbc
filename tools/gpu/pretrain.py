"""Pre-trains a larger nano on one GPU, for some minutes, from tokens made beforehand.

    PYTHONPATH=. python tools/gpu/pretrain.py prepare TOKENS --text=novels
    PYTHONPATH=. python tools/gpu/pretrain.py train TOKENS OUT --minutes=9

The first command needs all of the package; it makes TOKENS, at most 40 MB, by the
recipe gin/recipes/nano/pretrain.gin, with the nano's vocabulary. The second one needs
neither gin, t5 nor TensorFlow. Stopped at any time, it goes on when it is given again.
OUT/model then holds the model, as float16 shards of at most 15 MB, and OUT/losses.json
what these lose, with a row's own input and with another's. See docs/gpu.md.
"""

import argparse
import contextlib
import dataclasses
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from token_files import (
    ABOUT,
    MOST_IDS,
    StoredTask,
    read_about,
    read_table,
    store_pairs,
    write_tokens,
)

from jaxprompt.config import COOCCURRENCE, Run
from jaxprompt.config.settings import Data, Evaluation, Model, Optimizer
from jaxprompt.data.pretraining.cooccurrence import cooccurrence_rows
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.mixture import NO_PROMPT
from jaxprompt.files.json_file import read_json_object
from jaxprompt.models.config import Config
from jaxprompt.models.families import FAMILIES, family_of, make_backbone
from jaxprompt.models.weights.save import save
from jaxprompt.runs import train as train_run
from jaxprompt.runs.fitting import fit_best
from jaxprompt.runs.keep.output import write_json
from jaxprompt.runs.keep.workdir import METRICS
from jaxprompt.runs.measure.measured import result_of
from jaxprompt.runs.measure.results import make_report, result_table
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.runs.ready.prepare import prepare as prepare_job
from jaxprompt.screen.interrupts import Interrupted, interruptible
from jaxprompt.shapes import Params
from jaxprompt.startup import leave_out_absent_tpu, use_compilation_cache
from jaxprompt.train.loop import Validation
from jaxprompt.train.metrics import read_log
from jaxprompt.train.pace import Pace
from jaxprompt.train.stopped import Stopped

RECIPE = "gin/recipes/nano/pretrain.gin"
NANO = Path(__file__).resolve().parents[2] / "jaxprompt" / "bundled" / "nano"

LARGER = (
    "T5Config.width=512",
    "T5Config.heads=8",
    "T5Config.head_width=64",
    "T5Config.ffn_width=1152",
    "T5Config.encoder_layers=4",
    "T5Config.decoder_layers=4",
    "BATCH_SIZE=128",
    "EVALUATE_EXAMPLES=256",
    # Of T5's own pre-training. Source: Raffel et al. 2020, sec. 3.1.2.
    "LEARNING_RATE=0.01",
)
"""What differs from the recipe: 30 million weights."""

TINY = (
    "T5Config.width=16",
    "T5Config.heads=2",
    "T5Config.head_width=8",
    "T5Config.ffn_width=24",
    "T5Config.encoder_layers=1",
    "T5Config.decoder_layers=1",
    "BATCH_SIZE=8",
    "EVALUATE_BATCH_SIZE=8",
    "EVALUATE_EXAMPLES=8",
    "VALIDATION_SHARE=0.1",
    "WARMUP=1",
)
"""The same for a CPU, to try the tool."""

SHARD = 15_000_000
"""Most bytes of the weights in one file."""

_TRIED = 40
"""Steps that say how long one takes; half of them, the second half, count."""

_FOR_STEPS = 0.85
"""Share of the minutes that is for steps; the rest for validation and for writing."""


def prepare(
    out: Path,
    text: str,
    *,
    vocabulary: Path = NANO / "spiece.model",
    megabytes: float = 40.0,
    settings: Sequence[str] = LARGER,
) -> None:
    """Draws the examples of the recipe, and stores their tokens.

    Args:
        out: Folder to make.
        text: Folder of *.txt files.
        vocabulary: A spiece.model.
        megabytes: Most that all files take.
        settings: "NAME=value" each, over the recipe.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: If a setting is unsound, or the vocabulary has too many ids.
    """
    # Here, for only this needs gin.
    from jaxprompt.command.configure import configure

    if out.exists():
        raise FileExistsError(f"{out} exists: remove it, or name another folder")
    own = [f"TEXT={text!r}", f"VOCABULARY={str(vocabulary)!r}", *settings]
    run, _ = configure([RECIPE], own)
    settings_of_task: Any = run.data.task
    job_task = settings_of_task.load(_load_vocabulary(run))
    size = job_task.vocabulary.vocab_size
    if size > MOST_IDS:
        raise ValueError(f"{size} ids of {vocabulary}: uint16 holds {MOST_IDS}")
    architecture = run.model.architecture
    assert architecture is not None
    sizes = architecture.for_vocabulary(size)
    lengths = Lengths(run.data.input_length, run.data.target_length)
    layout = layout_of(job_task, lengths, NO_PROMPT)
    train, validation = run.data.train_split, run.data.validation_split
    table = {}
    if run.model.embeddings == COOCCURRENCE:
        texts, width = job_task.source.texts(train), dataclasses.asdict(sizes)["width"]
        table = cooccurrence_rows(texts, job_task.vocabulary, width)

    most = run.evaluation.num_examples
    rows = {
        name: min(part.task.num_examples(validation), most or MOST_IDS)
        for name, part in job_task.parts.items()
    }
    validated = {
        name: store_pairs(
            map(layout.prompted, part.task.pairs(validation, range(rows[name]))),
            1e6 * megabytes,
        )
        for name, part in job_task.parts.items()
    }
    room = 1e6 * megabytes - vocabulary.stat().st_size - 100_000  # For the headers.
    room -= sum(pairs.nbytes for pairs in validated.values())
    room -= sum(2 + 2 * row.size for row in table.values())
    # Epoch after epoch, each with noise of its own, as much as there is room for.
    numbers = iter(range(job_task.num_examples(train) * 10**6))
    trained = store_pairs(map(layout.prompted, job_task.pairs(train, numbers)), room)

    out.mkdir(parents=True)
    shutil.copyfile(vocabulary, out / "spiece.model")
    beside = vocabulary.with_name("tokenizer_config.json")
    if beside.is_file():
        shutil.copyfile(beside, out / beside.name)
    about = {
        "recipe": RECIPE,
        "settings": list(settings),
        "family": family_of(sizes).name,
        "architecture": dataclasses.asdict(sizes),
        "rates": {name: part.rate for name, part in job_task.parts.items()},
        "examples": len(trained.sizes),
        "passages": job_task.num_examples(train),
        "text": dict(job_task.source.hashes),
        "data": {
            "input_length": lengths.inputs,
            "target_length": lengths.targets,
            "pack": run.data.pack,
        },
        "optimizer": dataclasses.asdict(run.optimizer),
        "evaluation": dataclasses.asdict(run.evaluation),
        "remat": run.model.remat,
        "batch_size": run.batch_size,
        "seed": run.seed,
    }
    write_tokens(out, trained, validated, table, about)
    written = sum(path.stat().st_size for path in out.iterdir())
    print(
        f"wrote {written / 1e6:.1f} MB to {out}: {len(trained.sizes)} examples of "
        f"{about['passages']} passages, {trained.ids.size} tokens"
    )


def _load_vocabulary(run: Run) -> Any:
    from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

    return load_vocabulary(str(run.model.vocabulary))


def train(
    tokens: Path,
    out: Path,
    *,
    minutes: float = 9.0,
    steps: int | None = None,
    shard_bytes: int = SHARD,
) -> dict[str, Any]:
    """Trains, or goes on; then writes the shards and measures them.

    Args:
        tokens: Folder from `prepare`.
        out: Folder of the run.
        minutes: Most that this call takes. Where `steps` is None, the first call
            decides by it how many steps there are, from the time that some take.
        steps: Length of the run.
        shard_bytes: Most bytes of the weights in one file.

    Returns:
        The content of OUT/losses.json.

    Raises:
        FileNotFoundError: If the tokens are not there.
        ValueError: If OUT holds another run.
        Stopped: When the minutes are over and the state is saved: call it again.
        Interrupted: When they are over before the first step, or after the last.
    """
    start = time.monotonic()
    about = read_about(tokens)
    use_compilation_cache()
    first = out / "start"
    if not first.exists():
        out.mkdir(parents=True, exist_ok=True)
        _draw_start(tokens, first, about)
    with interruptible(ends_process=False):
        run = _make_run(about, tokens, first, 1)
        length = _length_of(out, run, minutes, steps, start)
        run = _make_run(about, tokens, first, length)
        config = f"TOKENS = {str(tokens)!r}\nSTEPS = {length}\n"
        with _stopping_at(start + 60 * minutes):
            train_run(run, out / "run", config=config)
    made = out / "model"
    if not made.exists():
        _write_shards(out / "run" / "model", made, shard_bytes)
    losses = _measure(run, made)
    write_json(out / "losses.json", losses)
    print(f"{result_table(losses)}\nwrote {made} and {out / 'losses.json'}")
    return losses


def _draw_start(tokens: Path, folder: Path, about: dict[str, Any]) -> None:
    """Writes the new model that training starts from."""
    config = _config_of(about)
    vocabulary = str(tokens / "spiece.model")
    backbone = make_backbone(config, vocabulary=vocabulary)
    params = dict(backbone.init(jax.random.key(about["seed"])))
    table = read_table(tokens)
    if table:
        rows = np.stack(list(table.values()))
        params["embedding"] = params["embedding"].at[jnp.array(list(table))].set(rows)
    save(folder, backbone, params)


def _config_of(about: dict[str, Any]) -> Config:
    (family,) = (one for one in FAMILIES if one.name == about["family"])
    return family.config(**about["architecture"])


def _make_run(about: dict[str, Any], tokens: Path, model: Path, steps: int) -> Run:
    """Returns the run of the recipe, without gin, on the stored tokens."""
    task: Any = StoredTask(name="text", folder=tokens, rates=about["rates"])
    every = -(-steps // 5)  # As often as the recipe.
    return Run(
        trains="model",
        model=Model(name=str(model), remat=about["remat"]),
        data=Data(task=task, **about["data"]),
        optimizer=Optimizer(**about["optimizer"]),
        evaluation=Evaluation(**about["evaluation"]),
        pace=Pace(steps=steps, evaluate_every=every, checkpoint_every=every),
        batch_size=about["batch_size"],
        seed=about["seed"],
    )


def _length_of(
    out: Path, run: Run, minutes: float, steps: int | None, start: float
) -> int:
    """Returns the steps of the run, which its first process decides for all."""
    path = out / "steps.json"
    if path.exists():
        return int(read_json_object(path, "remove it")["steps"])
    if steps is None:
        seconds = _seconds_of_a_step(run)
        left = _FOR_STEPS * 60 * minutes - (time.monotonic() - start)
        steps = max(int(left / seconds), 1)
        print(f"a step takes {1000 * seconds:.1f} ms: {steps} steps in {minutes} min")
    write_json(path, {"steps": steps})
    return steps


def _seconds_of_a_step(run: Run) -> float:
    """Trains for some steps in a folder that is thrown away."""
    short = dataclasses.replace(
        run,
        optimizer=dataclasses.replace(run.optimizer, warmup=0),
        pace=Pace(steps=_TRIED, log_every=_TRIED // 2, checkpoint_every=0),
    )
    job = prepare_job(short, splits=(short.data.train_split,))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        start, tx = job.start_prompt(), make_optimizer(short)
        fit_best(job, start, tx, _no_validation, folder)
        *_, (_, scalars) = read_log(folder / METRICS)
    rate = scalars["examples_per_second"]
    assert rate
    return run.batch_size / rate


def _no_validation(params: Params) -> Validation:
    del params
    raise AssertionError("a run that is timed is not validated")


@contextlib.contextmanager
def _stopping_at(deadline: float) -> Iterator[None]:
    """Sends this process SIGTERM at a time, once training listens for it.

    It then saves its state and stops, as at any SIGTERM.
    """
    before = signal.getsignal(signal.SIGTERM)
    sent = False

    def ring(*_: object) -> None:
        nonlocal sent
        listener = signal.getsignal(signal.SIGTERM)
        if not sent and callable(listener) and listener is not before:
            sent = True
            signal.raise_signal(signal.SIGTERM)

    other = signal.signal(signal.SIGALRM, ring)
    left = max(deadline - time.monotonic(), 0.05)
    signal.setitimer(signal.ITIMER_REAL, left, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, other)


def _write_shards(trained: Path, folder: Path, shard_bytes: int) -> None:
    """Writes a folder of Hugging Face with float16 weights, in several files."""
    weights = safetensors.numpy.load_file(trained / "model.safetensors")
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    split = huggingface_hub.split_state_dict_into_shards_factory(
        halves,
        get_storage_size=lambda array: array.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(
        trained, scratch, ignore=shutil.ignore_patterns("*.safetensors", "README.md")
    )
    for file, names in split.filename_to_tensors.items():
        safetensors.numpy.save_file(
            {name: halves[name] for name in names},
            scratch / file,
            metadata={"format": "pt"},
        )
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_json(scratch / "model.safetensors.index.json", index)
    path = scratch / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**settings, "torch_dtype": "float16"})
    scratch.rename(folder)


def _measure(run: Run, model: Path) -> dict[str, Any]:
    """Measures what is written, as float32: its losses on the validation split."""
    own = dataclasses.replace(run.model, name=str(model))
    split = run.data.validation_split
    job = prepare_job(dataclasses.replace(run, model=own), splits=(split,))
    start = job.start_prompt()
    measured = make_report(job, split, start.length).measure(job.frozen.join(start))
    return result_of(measured, run.data.task_name)


def main() -> int:
    """Runs one of the two commands; returns the exit status."""
    parser = argparse.ArgumentParser(description="Pre-train a larger nano on a GPU.")
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare", help="make the token files")
    first.add_argument("tokens", type=Path, help="folder to make")
    first.add_argument("--text", required=True, help="folder of *.txt files")
    first.add_argument("--vocabulary", type=Path, default=NANO / "spiece.model")
    first.add_argument("--megabytes", type=float, default=40.0)
    first.add_argument("--tiny", action="store_true", help="small, for a CPU")
    first.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help=f"over {RECIPE}, as LEARNING_RATE=0.02",
    )
    second = commands.add_parser("train", help=f"train what {ABOUT} says")
    second.add_argument("tokens", type=Path, help="folder that prepare has made")
    second.add_argument("out", type=Path, help="folder of the run")
    second.add_argument("--minutes", type=float, default=9.0)
    second.add_argument("--steps", type=int, help="default: what the minutes allow")
    flags = parser.parse_args()
    leave_out_absent_tpu()
    if flags.command == "prepare":
        prepare(
            flags.tokens,
            flags.text,
            vocabulary=flags.vocabulary,
            megabytes=flags.megabytes,
            settings=[*(TINY if flags.tiny else LARGER), *flags.set],
        )
        return 0
    try:
        train(flags.tokens, flags.out, minutes=flags.minutes, steps=flags.steps)
    except (Stopped, Interrupted) as stopped:
        print(f"{stopped}: the same command goes on")
        return 128 + stopped.signal
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
