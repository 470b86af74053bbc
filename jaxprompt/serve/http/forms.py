"""How answers are written as JSON: OpenAI's completions and chat completions."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from jaxprompt.serve.http.answers import RequestAnswers, Whole
from jaxprompt.serve.http.requests import Options, Refused
from jaxprompt.serve.http.served import Served
from jaxprompt.serve.slots.scheduler import AnswerPiece, Token
from jaxprompt.serve.slots.writing import UNFINISHED


class AnswerForm:
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

    def delta(self, number: int, piece: AnswerPiece, top: int | None) -> dict[str, Any]:
        """Writes a piece of one."""
        raise NotImplementedError

    def opening(self, count: int) -> list[dict[str, Any]]:
        """Writes what stands in front of all pieces."""
        del count
        return []

    def whole(
        self, found: list[Whole], answers: RequestAnswers, options: Options
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

    async def events(
        self, answers: RequestAnswers, options: Options
    ) -> AsyncIterator[str]:
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


class Completion(AnswerForm):
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

    def delta(self, number: int, piece: AnswerPiece, top: int | None) -> dict[str, Any]:
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


class Chat(AnswerForm):
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

    def delta(self, number: int, piece: AnswerPiece, top: int | None) -> dict[str, Any]:
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
            # A part of a character has bytes that its text does not tell.
            known = UNFINISHED not in text
            found = {"token": text, "logprob": log_prob}
            return {**found, "bytes": list(text.encode()) if known else None}

        content = [
            {
                **said(token.id, token.log_prob),
                "top_logprobs": [said(*other) for other in token.top[:top]],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
