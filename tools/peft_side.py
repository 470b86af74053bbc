"""PyTorch's side of the benchmarks: PEFT and transformers on the same random model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    T5ForConditionalGeneration,
)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

IGNORED = -100
"""What PyTorch's cross-entropy leaves out, where our targets have padding."""


def prompt_step(
    folder: Path, prompts: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Makes PEFT's prompt-tuning step: (text, targets), padded with 0 -> loss.

    A decoder alone reads text and targets in one row, which has no padding.
    """
    model = prompted_model(folder, prompts)
    model.train()
    causal = not model.config.is_encoder_decoder
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)

    def step(text: np.ndarray, targets: np.ndarray) -> float:
        ids, labels = torch.tensor(text).long(), torch.tensor(targets).long()
        if causal:
            ids = torch.cat([ids, labels], dim=1)
            labels = torch.cat([torch.full(text.shape, IGNORED), labels], dim=1)
            mask = torch.ones_like(ids)
        else:
            labels = labels.masked_fill(labels == 0, IGNORED)
            mask = (ids > 0).long()
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def prefix_step(
    folder: Path, drawn: np.ndarray, weight: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Makes PEFT's prefix-tuning step with a linear head: (text, labels) -> loss.

    Args:
        folder: Of an encoder or a decoder.
        drawn: Keys and values that all layers start from, [2, N, P, G, K].
        weight: Of the head, [D, C].
    """
    settings = AutoConfig.from_pretrained(folder, num_labels=weight.shape[1])
    settings.pad_token_id = 0
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        if hasattr(settings, name):
            setattr(settings, name, 0.0)
    backbone = AutoModelForSequenceClassification.from_pretrained(
        folder, config=settings
    )
    _, layers, length, heads, width = drawn.shape
    config = PrefixTuningConfig(
        task_type=TaskType.SEQ_CLS,
        num_virtual_tokens=length,
        num_layers=layers,
        num_attention_heads=heads,
        token_dim=heads * width,
    )
    model: Any = get_peft_model(backbone, config)
    # Of each soft token: keys of the first layer, its values, keys of the second, ...
    own = drawn.transpose(2, 1, 0, 3, 4).reshape(length, -1)
    model.prompt_encoder["default"].embedding.weight.data = torch.tensor(own)
    for name, leaf in model.named_parameters():
        if leaf.requires_grad and "prompt_encoder" not in name:
            bias = leaf.ndim == 1
            leaf.data = torch.zeros_like(leaf) if bias else torch.tensor(weight.T)
    model.train()
    trained = [leaf for leaf in model.parameters() if leaf.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)

    def step(text: np.ndarray, labels: np.ndarray) -> float:
        ids = torch.tensor(text).long()
        optimizer.zero_grad()
        loss = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            labels=torch.tensor(labels).long(),
        ).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def model_step(
    folder: Path, inputs: np.ndarray, targets: np.ndarray
) -> Callable[[], float]:
    """Makes a step of all weights, with PyTorch's fastest AdamW: -> loss."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dropout_rate=0.0)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, weight_decay=0.0, fused=True
    )
    ids, labels = torch.tensor(inputs).long(), torch.tensor(targets).long()

    def step() -> float:
        optimizer.zero_grad()
        loss = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels
        ).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def scoring(
    folder: Path, prompts: np.ndarray, length: int
) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Makes PEFT's pass over rows: (text, member of each, batch size) -> ids [rows, L].

    One adapter after another, as PEFT holds one prompt at a time; each batch is padded
    to its longest row.

    Args:
        folder: From `small_t5`.
        prompts: Prompts of all members, [M, P, D].
        length: Target tokens L to decode.
    """
    model = prompted_model(folder, prompts)

    def decode(ids: torch.Tensor) -> torch.Tensor:
        out = model.generate(
            input_ids=ids,
            attention_mask=(ids > 0).long(),
            max_new_tokens=length,
            min_new_tokens=length,
            num_beams=1,
            do_sample=False,
        )
        return out[:, 1:]  # Without the start token.

    return _pass_over_rows(model, decode)


def ranking(
    folder: Path, prompts: np.ndarray, label_ids: np.ndarray
) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Makes the same pass for labels: -> the log probability of each, [rows, C].

    A forward pass for each label, as a PEFT model takes a text with its labels.

    Args:
        folder: From `small_t5`.
        prompts: Prompts of all members, [M, P, D].
        label_ids: Tokens of each label, [C, L].
    """
    model = prompted_model(folder, prompts)

    def log_probs(ids: torch.Tensor, label: np.ndarray) -> torch.Tensor:
        labels = torch.tensor(label).long().repeat(len(ids), 1)
        mask = (ids > 0).long()
        logits = model(input_ids=ids, attention_mask=mask, labels=labels).logits
        picked = logits.log_softmax(-1).gather(2, labels[..., None])
        return picked[..., 0].sum(dim=1)

    return _pass_over_rows(
        model,
        lambda ids: torch.stack([log_probs(ids, label) for label in label_ids], dim=1),
    )


def _pass_over_rows(
    model: Any, answer: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """Makes it of what answers a batch of ids."""
    model.eval()

    def score(text: np.ndarray, members: np.ndarray, batch_size: int) -> np.ndarray:
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for member in np.unique(members):
            model.set_adapter(_adapter(member))
            (own,) = np.nonzero(members == member)
            for first in range(0, len(own), batch_size):
                rows = own[first : first + batch_size]
                width = int((text[rows] > 0).sum(axis=1).max())
                ids = torch.tensor(text[rows, :width]).long()
                with torch.no_grad():
                    found.append((rows, answer(ids).numpy()))
        order = np.concatenate([rows for rows, _ in found])
        return np.concatenate([answers for _, answers in found])[np.argsort(order)]

    return score


def _adapter(member: int) -> str:
    return f"member_{member}"


def prompted_model(folder: Path, prompts: np.ndarray) -> Any:
    """Loads the model with a prompt-tuning adapter for each prompt of [M, P, D]."""
    # Prompt tuning is compared without dropout, which both can do alike.
    settings = AutoConfig.from_pretrained(folder)
    if settings.is_encoder_decoder:
        task = TaskType.SEQ_2_SEQ_LM
        backbone = T5ForConditionalGeneration.from_pretrained(folder, dropout_rate=0.0)
    else:
        task = TaskType.CAUSAL_LM
        dropout = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}
        gpt2 = settings.model_type == "gpt2"  # Others have none.
        backbone = AutoModelForCausalLM.from_pretrained(
            folder, **(dropout if gpt2 else {})
        )
    config = PromptTuningConfig(
        task_type=task,
        num_virtual_tokens=prompts.shape[1],
        num_transformer_submodules=1,
    )
    model: Any = get_peft_model(backbone, config, adapter_name=_adapter(0))
    for member in range(1, len(prompts)):
        model.add_adapter(_adapter(member), config)
    for member, rows in enumerate(prompts):
        encoder = model.prompt_encoder[_adapter(member)]
        encoder.embedding.weight.data = torch.tensor(rows)
    return model
