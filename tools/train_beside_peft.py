"""Trains one prompt here and one in Hugging Face PEFT: same start, rows and steps.

    python tools/train_beside_peft.py --gin_file=gin/recipes/smollm2/sst2.gin \
        --gin.MODEL="'SmolLM2-135M-Instruct.Q4_1.gguf'" --gin.STEPS=100 --workdir=beside

For prompt tuning of a decoder on a task of label words. Ours is `jaxprompt train` with
these settings, in float32; PEFT's prompt starts from the same rows and takes the same
batches, padded to their longest row, at the same rates of AdamW, on the same weights as
PyTorch transformers computes them. Each scores the same rows by its own log
probabilities of the label words. What both end with should differ by rounding alone.
Needs the extra `parity`.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from peft_side import prompted_model
from side_by_side import OURS, THEIRS
from torch.nn.functional import cross_entropy

from jaxprompt.command.configure import configure
from jaxprompt.config import Run
from jaxprompt.data.rows.position import Position
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.file import load_prompt
from jaxprompt.report.plots.curves import read_curves
from jaxprompt.report.text.bar import example_bar
from jaxprompt.report.text.table import table
from jaxprompt.runs import train
from jaxprompt.runs.keep.workdir import METRICS
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.training_batches import training_batches
from jaxprompt.shapes import Batch
from jaxprompt.train.optimizer import make_schedule

ALWAYS = (
    "Pace.log_every=1",
    "SEEDS=1",
    "EVALUATE_EVERY=0",
    "PRECISION='float32'",
    "Optimizer.z_loss=0.0",
)
"""Settings that both sides can heed: one prompt, its last step, the plain loss."""

IGNORED = -100
"""What PyTorch's cross-entropy leaves out."""

SCORED_AT_ONCE = 32
"""Rows of a batch that PEFT scores."""


class Text(NamedTuple):
    """Token ids of an example, without soft tokens.

    Attributes:
        asked: What the model reads.
        answer: What it is to write, its end included.
    """

    asked: list[int]
    answer: list[int]


def texts_of(batch: Batch, length: int) -> list[Text]:
    """Reads the examples of a decoder's batch, whose rows begin with soft tokens."""
    found = []
    for b in range(len(batch.inputs)):
        read = np.asarray(batch.inputs)[b][np.asarray(batch.input_segments)[b] > 0]
        answer = np.asarray(batch.targets)[b][np.asarray(batch.target_segments)[b] > 0]
        # The last token that is read stands in front of the answer.
        first = int(np.asarray(batch.target_inputs)[b, 0])
        found.append(Text([*read.tolist()[length:], first], answer.tolist()))
    return found


def training_texts(job: Job, length: int) -> Iterator[list[Text]]:
    """Yields the examples of each step, as `jaxprompt train` draws them."""
    starts = (Position(),)
    for batch, _ in training_batches(job, length)(starts):
        parts = batch if isinstance(batch, tuple) else (batch,)
        yield [text for part in parts for text in texts_of(part, length)]


def padded(texts: list[Text]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns ids, their mask and labels [B, T], padded to the longest behind."""
    rows = [(asked + answer, len(asked)) for asked, answer in texts]
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for b, (row, asked) in enumerate(rows):
        ids[b, : len(row)], mask[b, : len(row)] = torch.tensor(row), 1
        labels[b, asked : len(row)] = torch.tensor(row[asked:])
    return ids, mask, labels


def train_peft(
    model: Any, steps: Iterator[list[Text]], run: Run
) -> Iterator[tuple[float, float]]:
    """Trains the prompt; yields loss and seconds of each step."""
    settings = run.optimizer
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        trained,
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )
    rate = make_schedule(
        settings.schedule,
        settings.learning_rate,
        steps=run.pace.steps,
        warmup=settings.warmup,
    )
    model.train()
    for number, texts in zip(range(run.pace.steps), steps, strict=False):
        begun = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = float(np.asarray(rate(number)))
        ids, mask, labels = padded(texts)
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        yield loss.item(), time.perf_counter() - begun


def likeliest(model: Any, texts: list[Text], labels: list[list[int]]) -> list[int]:
    """Returns the number of the likeliest label behind each text."""
    model.eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row].asked))
    found = np.zeros((len(texts), len(labels)))
    with example_bar(len(texts), "PEFT's answers") as advance, torch.no_grad():
        for first in range(0, len(order), SCORED_AT_ONCE):
            some = order[first : first + SCORED_AT_ONCE]
            for number, label in enumerate(labels):
                ids, mask, wanted = padded([Text(texts[x].asked, label) for x in some])
                logits = model(input_ids=ids, attention_mask=mask).logits
                soft = logits.shape[1] - ids.shape[1]
                before = logits[:, soft - 1 : -1] if soft else logits[:, :-1]
                wanted = wanted if soft else wanted[:, 1:]
                nats = cross_entropy(
                    before.transpose(1, 2),
                    wanted,
                    ignore_index=IGNORED,
                    reduction="none",
                )
                found[some, number] = -nats.sum(dim=1).numpy()
            advance(len(some), 0.0)
    return found.argmax(axis=1).tolist()


def main() -> None:
    """Trains both, and prints what came out."""
    parser = argparse.ArgumentParser(description="A prompt here and in PEFT.")
    parser.add_argument("--gin_file", action="append", required=True)
    parser.add_argument("--workdir", type=Path, required=True, help="a new folder")
    flags, others = parser.parse_known_args()
    settings = [*(x.removeprefix("--gin.") for x in others), *ALWAYS]
    run, config = configure(flags.gin_file, settings)
    check(run)
    result = train(run, flags.workdir / "ours", config=config)
    ours, _ = load_prompt(flags.workdir / "ours" / "prompt.safetensors")

    job = prepare(run, splits=run.data.splits)
    # Every row whole: PEFT reads the prompt again for each.
    job = dataclasses.replace(job, frozen=job.frozen.unfolded())
    start, length = job.start_prompt(), run.prompt.length
    folder = flags.workdir / "model"
    if not folder.exists():
        save(folder, job.frozen.backbone, job.frozen.model)
    model = prompted_model(folder, np.asarray(start.rows))
    losses, seconds = [], []
    with example_bar(run.pace.steps, "PEFT's steps") as advance:
        for loss, took in train_peft(model, training_texts(job, length), run):
            losses.append(loss)
            seconds.append(took)
            advance(1, 0.0)
    rows = EvaluationSet(job.sample(job.task, run.data.scored_split, length))
    labels = [
        [token for token in label if token != NO_TOKEN]
        for label in job.task.label_ids(run.data.target_length).tolist()
    ]
    answers = likeliest(model, texts_of(rows.batch, length), labels)
    names = job.task.labels or ()
    scores = rows.score_texts([names[number] for number in answers])
    theirs = next(x for x in model.parameters() if x.requires_grad).detach().numpy()
    (own,), (first,) = np.asarray(ours.rows), np.asarray(start.rows)
    apart = np.linalg.norm(own - theirs) / np.linalg.norm(own - first)

    logged = read_curves(flags.workdir / "ours" / METRICS)["loss"].values
    count = rows.num_examples
    print(
        table(
            ["side", "first loss", "last loss", scores.metric, "rows", "steps"],
            [
                [OURS, *ends(logged), result["score"], count, len(logged)],
                [THEIRS, *ends(losses), scores.score, count, len(losses)],
            ],
        )
    )
    print(
        f"the prompts are {apart:.2%} of their way from the start apart; PEFT's step "
        f"takes {statistics.median(seconds):.2f} s"
    )


def ends(losses: Sequence[float]) -> list[str]:
    """Writes the first of some losses and the last."""
    return [f"{losses[place]:.4f}" for place in (0, -1)]


def check(run: Run) -> None:
    """Raises ValueError for what the sides do not have in common."""
    template = run.data.task and run.data.task.input_template
    for wrong, what in (
        (run.trains != "prompt", f"trains {run.trains!r}: use 'prompt'"),
        (run.prompt.deep, "keys and values: give soft tokens alone"),
        ("{slots" in str(template), "soft tokens in the text: PEFT's stand in front"),
        (run.evaluation.method != "rank", "a method other than 'rank'"),
        (run.optimizer.kind != "adamw", "an optimizer other than 'adamw'"),
        (run.optimizer.clip_norm, "clipped gradients"),
        (run.data.pack, "packed rows"),
    ):
        if wrong:
            raise ValueError(f"this recipe has {what}")


if __name__ == "__main__":
    main()
