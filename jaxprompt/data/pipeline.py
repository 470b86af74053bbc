"""Examples -> rows through seqio: trim, put the soft ids, pad or pack, convert."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Int

from jaxprompt.data.converter import make_converter
from jaxprompt.data.lengths import Lengths
from jaxprompt.data.libraries import seqio, tf
from jaxprompt.data.task import Task
from jaxprompt.shapes import Batch

Features = dict[str, tf.Tensor]

MEMBERS = "members"
"""The feature that says which member of a bank each row is of, int32 [rows]."""

ROW_NUMBERS = "row_numbers"
"""The feature that says where each row stands in its split or file, int32 [rows]."""


def run_task(
    task: Task,
    source: seqio.DataSource,
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
) -> seqio.Task:
    """Appends to a task what depends on the run: trimming, then the soft ids.

    In this order, truncation cuts neither a soft token nor the end-of-sequence. A
    decoder-only model has to start from something: inputs without any token become
    end-of-sequence, which parts one text from the next in pre-training.

    Args:
        task: The task.
        source: Which of its rows.
        lengths: Longest texts.
        soft_ids: int32 ids of the prompt [P], put before the inputs of every example.

    Returns:
        A seqio task, not registered.
    """
    prompt = np.asarray(soft_ids, np.int32)

    def trim(example: Features) -> Features:
        return {
            **example,
            "inputs": _trim(example["inputs"], lengths.inputs),
            "targets": _trim(example["targets"], lengths.targets),
        }

    def prefix(example: Features) -> Features:
        inputs = tf.concat([prompt, example["inputs"]], axis=0)
        if task.causal:
            end = tf.fill([1], task.vocabulary.eos_id)
            inputs = tf.cond(tf.size(inputs) > 0, lambda: inputs, lambda: end)
        return {**example, "inputs": inputs}

    return task.seqio_task.replace(
        source=source,
        preprocessors=[
            *task.seqio_task.preprocessors,
            _preprocessor(trim),
            _preprocessor(prefix),
        ],
    )


def model_features(
    task: Task,
    split: str,
    rows: tf.data.Dataset,
    lengths: Lengths,
    soft_ids: Int[np.ndarray, " P"],
    *,
    pack: bool = False,
) -> tf.data.Dataset:
    """Runs chosen rows of a split through the task and seqio's converter.

    Args:
        task: The task.
        split: The split.
        rows: Row numbers in the wanted order, int64 scalars.
        lengths: Longest texts, and with `pack` the room of a row.
        soft_ids: int32 ids of the prompt [P].
        pack: Whether a row may hold several examples.

    Returns:
        One row of model features per element, in order.
    """
    source = task.source.pick(split, rows)
    with quiet_seqio():
        examples = run_task(task, source, lengths, soft_ids).get_dataset(
            split=split, shuffle=False, try_in_mem_cache=False
        )
        convert: Any = make_converter(causal=task.causal, pack=pack)
        return convert(examples, lengths.of_rows(soft_ids))


def to_batch(features: Mapping[str, np.ndarray]) -> Batch:
    """Names model features, [B, ...] each, as a Batch of NumPy arrays.

    Args:
        features: As seqio's converter makes them; and `MEMBERS`, without which the
            rows are the first member's, and `ROW_NUMBERS`, without which nothing can
            be drawn.
    """
    inputs = features["encoder_input_tokens"]
    targets = features["decoder_target_tokens"]
    # Without packing a row is one example, and id 0 is padding.
    input_segments = features.get("encoder_segment_ids", inputs != 0)
    target_segments = features.get("decoder_segment_ids", targets != 0)
    arrays: dict[str, Any] = {
        "inputs": inputs,
        "input_segments": input_segments.astype(np.int32),
        "targets": targets,
        "target_inputs": features["decoder_input_tokens"],
        "target_segments": target_segments.astype(np.int32),
        "weights": features["decoder_loss_weights"].astype(np.float32),
        "members": features.get(MEMBERS, np.zeros(len(targets), np.int32)),
        "row_numbers": features.get(ROW_NUMBERS),
    }
    return Batch(**arrays)


def stack(dataset: tf.data.Dataset) -> dict[str, np.ndarray]:
    """Runs a whole dataset into memory: feature -> [rows, ...]."""
    examples = list(dataset.as_numpy_iterator())
    return {name: np.stack([row[name] for row in examples]) for name in examples[0]}


def sample_rows(num_rows: int, limit: int | None) -> tf.data.Dataset:
    """Picks at most `limit` row numbers at random, always the same, in order."""
    if limit is None or limit >= num_rows:
        return tf.data.Dataset.range(num_rows)
    if limit < 1:
        raise ValueError(f"{limit} examples: use 1 or more, or None for all")
    rows = np.random.default_rng(0).choice(num_rows, limit, replace=False)
    return tf.data.Dataset.from_tensor_slices(np.sort(rows))


@contextlib.contextmanager
def quiet_seqio() -> Iterator[None]:
    """Keeps seqio's advice off the terminal; none of it applies here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _trim(ids: tf.Tensor, length: int) -> tf.Tensor:
    # The last id is the end-of-sequence, or of a decoder-only model's input what its
    # target follows on.
    return tf.concat([ids[:-1][: length - 1], ids[-1:]], axis=0)


def _preprocessor(
    of_example: Callable[[Features], Features],
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    def preprocess(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(of_example, num_parallel_calls=tf.data.AUTOTUNE)

    return preprocess
