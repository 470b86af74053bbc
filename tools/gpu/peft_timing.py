"""Times Hugging Face PEFT on the same device, with the same shapes."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from findings import PEFT, Finding, Skipped, Timing
from our_timing import time_calls
from registry import Settings, draw_pairs, why_not

from jaxprompt.models.config import Config
from jaxprompt.models.families import family_of

_IGNORED = -100
"""What PyTorch's cross-entropy leaves out."""


def time_peft(model: str, settings: Settings) -> Iterator[Finding]:
    """Times the runs of `our_timing.time_model` in PEFT, with random weights."""
    missing = [
        name
        for name in ("torch", "transformers", "peft")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        yield Skipped(f"PEFT beside {model}", f"{', '.join(missing)} not installed")
        return
    import torch

    # Were JAX to start the GPU in this process, it would take the memory.
    jax.config.update("jax_platforms", "cpu")
    cuda = torch.cuda.is_available()
    if not (cuda or settings.tiny):
        reason = "PyTorch sees no CUDA device, and a CPU would take hours"
        yield Skipped(f"PEFT beside {model}", reason)
        return
    if settings.tiny:  # Threads that wait for one another, where there is no work.
        torch.set_num_threads(1)
    config = settings.config(model)
    reason = why_not(config, _memory())
    if reason:
        yield Skipped(f"PEFT beside {model}", reason)
        return
    pairs = draw_pairs(
        config, settings.batch_size, settings.input_length, settings.target_length
    )
    text, targets = (
        np.stack(side)
        for side in ([p.inputs for p in pairs], [p.targets for p in pairs])
    )
    backbone = _backbone(config, "cuda" if cuda else "cpu")
    longest = settings.prompts[-1]
    cases: list[tuple[str, int, Any]] = [
        ("prompt step", length, _train_step) for length in reversed(settings.prompts)
    ]
    cases += [("decode step", longest, _decode_step), ("forward", longest, _forward)]
    for run, length, measure in cases:
        try:
            tuned = _with_prompt(backbone, length)
            ids = _ids(tuned, text, targets)
            seconds = measure(tuned, ids, settings)
        except torch.OutOfMemoryError as err:
            first = str(err).splitlines()[0][:200]
            yield Skipped(f"PEFT beside {model}, {run}, P {length}", first)
            continue
        if seconds <= 0:
            yield Skipped(f"PEFT beside {model}, {run}, P {length}", BUSY)
            continue
        yield Timing(PEFT, model, run, length, seconds, settings.batch_size)


BUSY = "longer answers took no longer than short ones: the machine was busy"
"""Why a token's share of the difference is not told."""


def _memory() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _backbone(config: Config, device: str) -> Any:
    """Makes a model of transformers of these sizes, in bfloat16, on the device."""
    import torch
    import transformers

    form = family_of(config).hugging_face
    settings = form.write_config(config, "bfloat16")
    for dropout in ("dropout_rate", "attn_pdrop", "embd_pdrop", "resid_pdrop"):
        if dropout in settings:
            settings[dropout] = 0.0
    kind = settings.pop("model_type")
    theirs = transformers.AutoConfig.for_model(kind, **settings)
    with torch.device(device):
        made = getattr(transformers, form.auto_class).from_config(
            theirs, dtype=torch.bfloat16
        )
    return made.to(device)


def _with_prompt(backbone: Any, length: int) -> Any:
    """Adds a prompt of this length; one that was there before is taken off."""
    import peft

    seq2seq = backbone.config.is_encoder_decoder
    task = peft.TaskType.SEQ_2_SEQ_LM if seq2seq else peft.TaskType.CAUSAL_LM
    config = peft.PromptTuningConfig(
        task_type=task, num_virtual_tokens=length, num_transformer_submodules=1
    )
    return peft.get_peft_model(backbone, config)


def _ids(tuned: Any, text: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """Lays out the rows as PEFT reads them: a decoder's text and targets in one."""
    import torch

    def on_device(ids: np.ndarray) -> Any:
        return torch.tensor(ids).long().to(tuned.device)

    if tuned.config.is_encoder_decoder:
        rows, labels = on_device(text), on_device(targets)
        prefix = rows
    else:
        prefix, ends = on_device(text), on_device(targets)
        rows = torch.cat([prefix, ends], dim=1)
        labels = torch.cat([torch.full_like(prefix, _IGNORED), ends], dim=1)
    return {
        "known": {
            "input_ids": rows,
            "attention_mask": torch.ones_like(rows),
            "labels": labels,
        },
        "text": {"input_ids": prefix, "attention_mask": torch.ones_like(prefix)},
    }


def _done(call: Callable[[], object]) -> Callable[[], None]:
    """Returns the call, which then waits for the device."""
    import torch

    def wait() -> None:
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return wait


def _train_step(tuned: Any, ids: dict[str, Any], settings: Settings) -> float:
    import torch

    tuned.train()
    trained = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        tuned(**ids["known"]).loss.backward()
        optimizer.step()

    return time_calls(_done(step), settings.rounds)


def _forward(tuned: Any, ids: dict[str, Any], settings: Settings) -> float:
    import torch

    tuned.eval()

    def forward() -> None:
        with torch.no_grad():
            tuned(**ids["known"])

    return time_calls(_done(forward), settings.rounds)


def _decode_step(tuned: Any, ids: dict[str, Any], settings: Settings) -> float:
    """Returns the seconds of a token: what more tokens take, shared among them."""
    import torch

    tuned.eval()

    def seconds(length: int) -> float:
        def generate() -> None:
            with torch.no_grad():
                tuned.generate(
                    **ids["text"],
                    max_new_tokens=length,
                    min_new_tokens=length,
                    num_beams=1,
                    do_sample=False,
                )

        return time_calls(_done(generate), min(settings.rounds, 3))

    more = settings.target_length
    return (seconds(1 + more) - seconds(1)) / more
