"""How answers are written as JSON: OpenAI's completions and chat completions."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxprompt.serve.http.answers import Answers, Whole
from jaxprompt.serve.http.requests import Options, Refused
from jaxprompt.serve.http.served import Served
from jaxprompt.serve.http.vote import vote
from jaxprompt.serve.slots.scheduler import Piece, Token


class Form:
    """How answers are written: what completions and chats share."""

    object = ""
    chunk = ""
    prefix = ""

    def __init__(self, served: Served):
        self._vocabulary = served.vocabulary
        self._id = f"{self.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def choice(self, number: int, answer: Whole, top: int | None) -> dict[str, Any]:
        """Writes an answer."""
        raise NotImplementedError

    def delta(self, number: int, piece: Piece, top: int | None) -> dict[str, Any]:
        """Writes a piece of one."""
        raise NotImplementedError

    def opening(self, count: int) -> list[dict[str, Any]]:
        """Writes what stands in front of all pieces."""
        del count
        return []

    def whole(
        self, found: list[Whole], answers: Answers, options: Options
    ) -> dict[str, Any]:
        """Writes all answers."""
        choices = [
            self.choice(number, answer, options.top)
            for number, answer in enumerate(found)
        ]
        return {
            **self._head(self.object, options),
            "choices": choices,
            "usage": answers.usage(),
        }

    async def events(self, answers: Answers, options: Options) -> AsyncIterator[str]:
        """Writes pieces as server-sent events."""
        head = self._head(self.chunk, options)
        try:
            for choice in self.opening(answers.count):
                yield _event({**head, "choices": [choice]})
            async for number, piece in answers.pieces():
                if piece.text or piece.finish or options.top is not None:
                    choice = self.delta(number, piece, options.top)
                    yield _event({**head, "choices": [choice]})
            if options.usage:
                yield _event({**head, "choices": [], "usage": answers.usage()})
        except Refused as refused:
            yield _event(refused.body)
        finally:
            answers.cancel()
        yield "data: [DONE]\n\n"

    def _head(self, kind: str, options: Options) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": options.model,
        }

    def _shown(self, token: int) -> str:
        return self._vocabulary.decode([token])


class Completion(Form):
    """OpenAI's completions."""

    object = chunk = "text_completion"
    prefix = "cmpl"

    def choice(self, number: int, answer: Whole, top: int | None) -> dict[str, Any]:
        """Writes an answer."""
        return {
            "index": number,
            "text": answer.text,
            "finish_reason": answer.finish,
            "logprobs": self._log_probs(answer.tokens, top),
        }

    def delta(self, number: int, piece: Piece, top: int | None) -> dict[str, Any]:
        """Writes a piece of one."""
        tokens = [] if piece.token is None else [piece.token]
        return {
            "index": number,
            "text": piece.text,
            "finish_reason": piece.finish,
            "logprobs": self._log_probs(tokens, top),
        }

    def _log_probs(self, tokens: list[Token], top: int | None) -> Any:
        if top is None:
            return None
        return {
            "tokens": [self._shown(token.id) for token in tokens],
            "token_logprobs": [token.log_prob for token in tokens],
            "top_logprobs": [
                {self._shown(number): log_prob for number, log_prob in token.top[:top]}
                for token in tokens
            ],
            "text_offset": [],
        }


class Chat(Form):
    """OpenAI's chat completions."""

    object = "chat.completion"
    chunk = "chat.completion.chunk"
    prefix = "chatcmpl"

    def opening(self, count: int) -> list[dict[str, Any]]:
        """Says who speaks."""
        delta = {"role": "assistant", "content": ""}
        return [
            {"index": number, "delta": delta, "finish_reason": None, "logprobs": None}
            for number in range(count)
        ]

    def choice(self, number: int, answer: Whole, top: int | None) -> dict[str, Any]:
        """Writes an answer."""
        return {
            "index": number,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "finish_reason": answer.finish,
            "logprobs": self._log_probs(answer.tokens, top),
        }

    def delta(self, number: int, piece: Piece, top: int | None) -> dict[str, Any]:
        """Writes a piece of one."""
        tokens = [] if piece.token is None else [piece.token]
        return {
            "index": number,
            "delta": {"content": piece.text} if piece.text else {},
            "finish_reason": piece.finish,
            "logprobs": self._log_probs(tokens, top),
        }

    def _log_probs(self, tokens: list[Token], top: int | None) -> Any:
        if top is None:
            return None

        def said(number: int, log_prob: float) -> dict[str, Any]:
            text = self._shown(number)
            found = {"token": text, "logprob": log_prob}
            return {**found, "bytes": list(text.encode())}

        content = [
            {
                **said(token.id, token.log_prob),
                "top_logprobs": [said(*other) for other in token.top[:top]],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}


def chosen_labels(
    labels: tuple[str, ...],
    likely: Float[np.ndarray, "Q C"],
    scores: Float[np.ndarray, "Q C"],
    voters: int,
) -> list[dict[str, Any]]:
    """Writes which label each text has, by the votes of the prompts that were asked.

    Args:
        labels: In class order.
        likely: Probability of each label, text by text, of each voter.
        scores: Log-probability of each, as it is told.
        voters: How many prompts answer each text.
    """
    data = []
    for number in range(len(likely) // voters):
        rows = slice(number * voters, (number + 1) * voters)
        chosen: list[str] = [labels[n] for n in likely[rows].argmax(axis=1)]
        found = vote(chosen)
        shares, sums = likely[rows].mean(axis=0), scores[rows].mean(axis=0)
        data.append(
            {
                "index": number,
                "label": chosen[found.winner],
                "probabilities": dict(zip(labels, shares.tolist(), strict=True)),
                "log_probs": dict(zip(labels, sums.tolist(), strict=True)),
                "votes": found.counts,
            }
        )
    return data


def tagged_words(
    labels: Sequence[str],
    words: Sequence[Sequence[str]],
    likely: Sequence[Float[np.ndarray, "L C"]],
) -> list[dict[str, Any]]:
    """Writes the tag of each word of each text, and how likely it is.

    Words for which there was no room have the first label, that of no span, and no
    probability.
    """
    data = []
    for number, (row, found) in enumerate(zip(words, likely, strict=True)):
        tags = []
        for place, word in enumerate(row):
            shares = found[place] if place < len(found) else None
            best = 0 if shares is None else int(shares.argmax())
            share = None if shares is None else float(shares[best])
            tags.append({"word": word, "tag": labels[best], "probability": share})
        data.append({"index": number, "tags": tags})
    return data


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
