"""How a prompt starts: random, sampled vocabulary, class labels, text, or a file."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.models.quantise import Table, look_up
from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.prompt import Prompt, make_prompt


@dataclasses.dataclass(frozen=True)
class Start:
    """What soft tokens may start from; see `init_prompt`.

    Attributes:
        key: Typed PRNG key.
        table: Embedding table of the frozen model.
        length: Prompt length P, in tokens.
        low: Lower end of a uniform range.
        high: Upper end of it, excluded.
        stddev: Standard deviation of a normal draw; None for that of `top` tokens.
        top: Most frequent tokens to sample from.
        words: Class-label words.
        text: A text.
        file: A prompt file.
        encode: Text to token ids without end-of-sequence.
    """

    key: jax.Array
    table: Table
    length: int
    low: float = -0.5
    high: float = 0.5
    stddev: float | None = None
    top: int = 5000
    words: Sequence[str] = ()
    text: str = ""
    file: str | Path = ""
    encode: Callable[[str], Sequence[int]] | None = None

    @property
    def width(self) -> int:
        """Model width D."""
        return self.table.shape[1]


Initialiser = Callable[[Start], Float[Array, "P D"]]
"""Makes the rows that a prompt starts from."""


def init_prompt(
    key: jax.Array,
    table: Table,
    *,
    length: int,
    method: str = "vocabulary",
    low: float = -0.5,
    high: float = 0.5,
    stddev: float | None = None,
    top: int = 5000,
    words: Sequence[str] = (),
    text: str = "",
    file: str | Path = "",
    encode: Callable[[str], Sequence[int]] | None = None,
) -> Prompt:
    """Makes the prompt that training starts from.

    Methods: "uniform" draws from [low, high); "xavier_uniform" from between -a and a,
    a = sqrt(6 / (P + D)); "normal" from N(0, stddev^2); "vocabulary" samples rows of
    the table, without replacement, from its `top` most frequent ids; "class_labels"
    gives each of `words` one row, the mean of its sub-tokens' embeddings, and samples
    the rest; "text" gives each token of `text` one row and samples the rest; "file"
    takes a trained prompt, for this or another model.

    Args:
        key: Typed PRNG key; consumed.
        table: Embedding table of the frozen model.
        length: Prompt length P, in tokens, at least 1.
        method: One of `METHODS`.
        low: Lower end of the uniform range.
        high: Upper end of the uniform range, excluded.
        stddev: Standard deviation of the normal draw; None makes soft tokens as long as
            the embeddings of the `top` most frequent ids are in the mean.
        top: Rows to sample from: sentencepiece orders its ids by frequency. At most
            the V rows there are.
        words: Class-label words, for "class_labels".
        text: Words to start from, for "text".
        file: A prompt file, for "file".
        encode: Text to token ids without end-of-sequence, for "class_labels" and
            "text".

    Returns:
        A bank of one prompt, float32 whatever the table's dtype.

    Raises:
        ValueError: If the method is unknown or lacks its argument, or if what it
            starts from does not fit in `length` rows.

    Source: Lester et al. 2021, sec. 3.2 (arXiv:2104.08691): U(-0.5, 0.5), the 5,000
    most common tokens, class labels with the rest sampled. Glorot and Bengio 2010,
    eq. 16, for "xavier_uniform".
    """
    if length < 1:
        raise ValueError(f"prompt length {length}: a trained prompt has 1 or more rows")
    if method not in METHODS:
        raise ValueError(
            f"unknown prompt initialisation {method!r}: use one of {list(METHODS)}"
        )
    start = Start(
        key=key,
        table=table,
        length=length,
        low=low,
        high=high,
        stddev=stddev,
        top=top,
        words=words,
        text=text,
        file=file,
        encode=encode,
    )
    return make_prompt(METHODS[method](start))


def check_fit(
    method: str,
    table: jax.ShapeDtypeStruct,
    *,
    length: int,
    top: int = 5000,
    words: Sequence[str] = (),
    text: str = "",
    encode: Callable[[str], Sequence[int]] | None = None,
) -> None:
    """Refuses the words and texts that `init_prompt` refuses, without any weights.

    Args:
        method: One of `METHODS`.
        table: Shape of the embedding table.
        length: As all others, as of `init_prompt`.
        top: For "vocabulary".
        words: For "class_labels".
        text: For "text".
        encode: For these two.

    Raises:
        ValueError: If what the prompt is to start from is empty, or has more rows than
            `length`.
    """
    shape: Any = table  # No more than its shape is asked for.
    start = Start(
        key=jax.random.key(0),
        table=shape,
        length=length,
        top=top,
        words=words,
        text=text,
        encode=encode,
    )
    if method == "vocabulary":
        _population(start, length)
    elif method in _IDS:
        _check_length(start, len(_IDS[method](start)), method)


def _uniform(start: Start) -> jax.Array:
    """Draws each number evenly from a range."""
    low, high = start.low, start.high
    if not low < high:
        raise ValueError(
            f"uniform initialisation from {low} to {high}: low must be less than high"
        )
    shape = (start.length, start.width)
    return jax.random.uniform(start.key, shape, minval=low, maxval=high)


def _xavier_uniform(start: Start) -> jax.Array:
    """Draws from a range that narrows as the prompt and the model widen."""
    draw = jax.nn.initializers.xavier_uniform()
    return draw(start.key, (start.length, start.width))


def _normal(start: Start) -> jax.Array:
    """Draws each number from a normal distribution."""
    deviation = start.stddev
    if deviation is None:
        deviation = _root_mean_square(start.table, _population(start, 0))
    elif deviation <= 0:
        raise ValueError(f"normal initialisation: stddev {deviation} is not over 0")
    return deviation * jax.random.normal(start.key, (start.length, start.width))


def _vocabulary(start: Start) -> jax.Array:
    """Takes the embeddings of frequent tokens, drawn at random."""
    size = _population(start, start.length)
    return _sample_rows(start.table, start.key, size, start.length)


def _class_labels(start: Start) -> jax.Array:
    """Takes the embeddings of the label words, and of frequent tokens behind."""
    ids = _ids_of_words(start)
    rows = _take_rows(start.table, np.concatenate(ids))
    return _fill(start, _means(rows, tuple(map(len, ids))), "class_labels")


def _text(start: Start) -> jax.Array:
    """Takes the embeddings of a text, and of frequent tokens behind."""
    return _fill(start, _take_rows(start.table, _ids_of_text(start)), "text")


def _ids_of_words(start: Start) -> list[Int[np.ndarray, " T"]]:
    words = _required(start.words, "class_labels")
    return [_encode(start, word, "class_labels") for word in words]


def _ids_of_text(start: Start) -> Int[np.ndarray, " T"]:
    return _encode(start, _required(start.text, "text"), "text")


_IDS: dict[str, Callable[[Start], Sequence[Any] | np.ndarray]] = {
    "class_labels": _ids_of_words,
    "text": _ids_of_text,
}
"""Method -> what each row that is not sampled is made of."""


def _file(start: Start) -> jax.Array:
    """Takes a trained prompt."""
    return start_from_file(start.file, start.width, start.length).rows[0]


METHODS: dict[str, Initialiser] = {
    "uniform": _uniform,
    "xavier_uniform": _xavier_uniform,
    "normal": _normal,
    "vocabulary": _vocabulary,
    "class_labels": _class_labels,
    "text": _text,
    "file": _file,
}
"""Name -> initialiser. A program may add its own: see docs/extending.md."""


# A program each, rather than one for every operation: to read a program from the cache
# takes ten milliseconds.


@jax.jit
def _take_rows(table: Table, ids: Int[Array, "*B"]) -> Float[Array, "*B D"]:
    # Rows are picked first and cast then: the table may be large, and in bfloat16.
    return look_up(table, ids).astype(jnp.float32)


# Not with the rows' own: an int8 table's would be scaled and added in one operation.
@functools.partial(jax.jit, static_argnames="lengths")
def _means(
    rows: Float[Array, "T D"], lengths: tuple[int, ...]
) -> Float[Array, "words D"]:
    """Takes the mean of so many rows, of so many behind them, and so on."""
    ends = list(itertools.accumulate(lengths))
    parts = zip([0, *ends], ends, strict=False)
    return jnp.stack([rows[start:end].mean(axis=0) for start, end in parts])


@functools.partial(jax.jit, static_argnames="population")
def _root_mean_square(table: Table, population: int) -> Float[Array, ""]:
    return jnp.sqrt(jnp.square(_take_rows(table, jnp.arange(population))).mean())


@functools.partial(jax.jit, static_argnames=("population", "count"))
def _sample_rows(
    table: Table, key: jax.Array, population: int, count: int
) -> Float[Array, "P D"]:
    return _take_rows(table, jax.random.permutation(key, population)[:count])


@functools.partial(jax.jit, static_argnames=("population", "count"))
def _sample_behind(
    rows: Float[Array, "T D"],
    table: Table,
    key: jax.Array,
    population: int,
    count: int,
) -> Float[Array, "P D"]:
    return jnp.concatenate([rows, _sample_rows(table, key, population, count)])


def _population(start: Start, count: int) -> int:
    """Returns of how many rows, the first of the table, `count` are sampled."""
    population = min(start.top, start.table.shape[0])
    if count > population:
        raise ValueError(
            f"{count} prompt rows cannot be sampled without replacement from the "
            f"{population} most frequent tokens: use a shorter prompt or a larger top"
        )
    return population


def _fill(start: Start, rows: jax.Array, method: str) -> jax.Array:
    """Puts sampled rows behind these, up to the prompt's length."""
    _check_length(start, len(rows), method)
    count = start.length - len(rows)
    size = _population(start, count)
    return _sample_behind(rows, start.table, start.key, size, count)


def _check_length(start: Start, rows: int, method: str) -> None:
    if rows > start.length:
        raise ValueError(
            f"{method} initialisation needs {rows} rows, but the prompt length is "
            f"{start.length}: use a length of at least {rows}"
        )


def _required(value: Any, method: str) -> Any:
    if not value:
        argument = {"class_labels": "words", "text": "text", "file": "file"}[method]
        raise ValueError(
            f"{method} initialisation needs {argument}, which is empty: set it, or use "
            "the initialisation 'vocabulary'"
        )
    return value


def _encode(start: Start, text: str, method: str) -> Int[np.ndarray, " T"]:
    """Returns the ids of a text, each of which has a row in the table."""
    if start.encode is None:
        raise ValueError(f"{method} initialisation needs encode, from text to ids")
    ids = list(start.encode(text))
    if not ids:
        raise ValueError(f"{method} initialisation: {text!r} has no tokens")
    rows = start.table.shape[0]
    if max(ids) >= rows:
        raise ValueError(
            f"{method} initialisation: {text!r} has token {max(ids)}, but the model "
            f"has {rows}: this is another model's vocabulary"
        )
    return np.array(ids, np.int32)


def start_from_file(
    path: str | Path, width: int, length: int, deep: Mapping[str, int] | None = None
) -> Prompt:
    """Takes a trained prompt, for this or another model.

    Args:
        path: A prompt file.
        width: Model width D.
        length: Soft tokens P that it must have.
        deep: Site -> keys and values that it must have; None for none.

    Raises:
        ValueError: If the path is empty, or the prompt is not that.
        FileNotFoundError: If there is no such file.
    """
    prompt, _ = load_prompt(_required(path, "file"))
    if prompt.width != width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {width}: {path} was trained "
            "for another model"
        )
    if prompt.length != length:
        raise ValueError(
            f"{path} has {prompt.length} rows, but the prompt length is {length}: set "
            f"the length to {prompt.length}"
        )
    there = {site: found.length for site, found in prompt.deep.items()}
    if there != dict(deep or {}):
        raise ValueError(
            f"{path} has keys and values {there}, but PromptStart.deep is "
            f"{dict(deep or {})}: set it to the former"
        )
    return prompt
