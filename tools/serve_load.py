"""Clients that ask a server at once, and what each of them waited for."""

import asyncio
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import openai
from serve_setting import Asked

_LIMIT = 600
"""Seconds that an answer may take."""


class Streamed(NamedTuple):
    """An answer as it came, in seconds.

    Attributes:
        text: The answer.
        first: From the request to the first token.
        between: From each token to the next.
    """

    text: str
    first: float
    between: list[float]


class Load(NamedTuple):
    """What became of requests that were asked at once.

    Attributes:
        together: How many clients asked at the same time.
        seconds: From the first request to the last answer.
        answers: Request -> its answer, where there is one.
        wrong: Answers that are not the expected ones.
        refused: Requests answered by 429, "ask again later".
        lost: Requests without any answer.
    """

    together: int
    seconds: float
    answers: dict[Asked, list[Streamed]]
    wrong: int
    refused: int
    lost: int

    @property
    def all(self) -> list[Streamed]:
        """All answers."""
        return [one for several in self.answers.values() for one in several]

    @property
    def cells(self) -> list[object]:
        """A row of a table: see `HEADER`."""
        firsts = sorted(1e3 * one.first for one in self.all)
        between = [1e3 * gap for one in self.all for gap in one.between]
        tokens = sum(1 + len(one.between) for one in self.all)
        return [
            self.together,
            statistics.median(firsts) if firsts else None,
            firsts[int(0.99 * (len(firsts) - 1))] if firsts else None,
            statistics.median(between) if between else None,
            len(firsts) / self.seconds,
            tokens / self.seconds,
            self.refused,
            self.wrong,
            self.lost,
        ]


HEADER = (
    "together",
    "first token, median ms",
    "99 % ms",
    "between tokens, median ms",
    "answers/s",
    "tokens/s",
    "429",
    "wrong",
    "lost",
)
"""Of `Load.cells`."""


def ask_streams(
    url: str,
    asked: Sequence[Asked],
    together: int,
    tokens: int,
    expected: Mapping[Asked, str],
) -> Load:
    """Asks for streams.

    Args:
        url: Of the server.
        asked: The requests, in their order.
        together: Clients that ask at the same time, each the next request.
        tokens: Most tokens of an answer.
        expected: The right answers; a request that is not among them has none.
    """
    return asyncio.run(_ask_streams(url, asked, together, tokens, expected))


def gaps_until(
    done: threading.Event, url: str, asked: Asked, tokens: int
) -> list[float]:
    """Asks for one stream after another; returns the seconds from token to token."""
    found = []
    while not done.is_set():
        for one in ask_streams(url, [asked], 1, tokens, {}).all:
            found += one.between
    return found


def whole_answers(
    url: str, asked: Sequence[Asked], together: int, tokens: int
) -> float:
    """Asks for whole answers; returns how many come in a second."""
    return asyncio.run(_whole_answers(url, asked, together, tokens))


def likeliest_gap(url: str, asked: Asked, tokens: int) -> float:
    """Returns how near the two likeliest tokens of an answer came, in nats."""
    with openai.OpenAI(**_options(url)) as client:
        answer = client.completions.create(
            model=asked.prompt, prompt=asked.text, max_tokens=tokens, logprobs=2
        )
    (choice,) = answer.choices
    tops = choice.logprobs.top_logprobs if choice.logprobs else None
    gaps = [max(top.values()) - min(top.values()) for top in tops or ()]
    return min(gaps, default=0.0)


def _options(url: str) -> dict:
    return {
        "base_url": f"{url}/v1",
        "api_key": "none",
        "max_retries": 0,
        "timeout": _LIMIT,
    }


async def _ask_streams(
    url: str,
    asked: Sequence[Asked],
    together: int,
    tokens: int,
    expected: Mapping[Asked, str],
) -> Load:
    limit = asyncio.Semaphore(together)
    async with openai.AsyncOpenAI(**_options(url)) as client:

        async def one(each: Asked) -> Streamed:
            async with limit:
                return await _stream(client, each, tokens)

        start = time.perf_counter()
        found = await asyncio.gather(*map(one, asked), return_exceptions=True)
        seconds = time.perf_counter() - start
    answers: dict[Asked, list[Streamed]] = {}
    for each, answer in zip(asked, found, strict=True):
        if isinstance(answer, Streamed):
            answers.setdefault(each, []).append(answer)
    wrong = sum(
        one.text != expected.get(each, one.text)
        for each, several in answers.items()
        for one in several
    )
    refused = sum(isinstance(one, openai.RateLimitError) for one in found)
    lost = sum(isinstance(one, BaseException) for one in found) - refused
    return Load(together, seconds, answers, wrong, refused, lost)


async def _stream(client: openai.AsyncOpenAI, asked: Asked, tokens: int) -> Streamed:
    start = last = time.perf_counter()
    first, between, said, finish = 0.0, [], "", None
    # With log-probabilities every token is an event, a held-back text too.
    stream = await client.completions.create(
        model=asked.prompt,
        prompt=asked.text,
        max_tokens=tokens,
        stream=True,
        logprobs=0,
    )
    async for event in stream:
        now = time.perf_counter()
        if first:
            between.append(now - last)
        else:
            first = now - start
        last = now
        said += event.choices[0].text
        finish = event.choices[0].finish_reason
    if finish not in ("stop", "length"):
        raise RuntimeError(f"an answer that ended with {finish}")
    return Streamed(said, first, between)


async def _whole_answers(
    url: str, asked: Sequence[Asked], together: int, tokens: int
) -> float:
    limit = asyncio.Semaphore(together)
    async with openai.AsyncOpenAI(**_options(url)) as client:

        async def one(each: Asked) -> None:
            async with limit:
                await client.completions.create(
                    model=each.prompt, prompt=each.text, max_tokens=tokens
                )

        start = time.perf_counter()
        await asyncio.gather(*map(one, asked))
        return len(asked) / (time.perf_counter() - start)
