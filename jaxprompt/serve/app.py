"""HTTP: OpenAI's routes over a scheduler and a bank of prompts."""

import asyncio
import contextlib
import dataclasses
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jaxprompt.data.vocabulary.chat import ChatTemplate, Turn
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.data.vocabulary.words import word_rows
from jaxprompt.models.quantise import Table, look_up
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.quoting import cut, listed, visible
from jaxprompt.report.reading.nearest import describe_prompt
from jaxprompt.serve.bank import Bank, Named
from jaxprompt.serve.metrics import Metrics
from jaxprompt.serve.page import read_page
from jaxprompt.serve.requests import (
    CLASSIFY_FIELDS,
    Options,
    Refused,
    check_fields,
    read_labels,
    read_messages,
    read_object,
    read_options,
    read_text,
    read_texts,
)
from jaxprompt.serve.scheduler import Asked, Full, Piece, Scheduler, Token
from jaxprompt.serve.slot_engine import GREEDY, Ready, Sampling, SlotEngine

_OPEN = ("/", "/health")
"""What answers without a key: a page that holds nothing, where a key can be typed."""

_WORDS = 5
"""Nearest words of each soft token."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may ask for.

    Attributes:
        body: Bytes of a request.
        tokens: Tokens of an answer.
        seconds: From a request to the end of its answers.
    """

    body: int = 2**20
    tokens: int = 256
    seconds: float = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """What the routes answer with.

    Attributes:
        model: The model's name: asked without a prompt.
        fingerprint: Identity of its weights.
        vocabulary: Turns texts into ids.
        table: The frozen embeddings.
        template: Its chat template; None where it has none.
        engine: What can be asked of it: its sizes, not its slots.
        bare: The model without a prompt.
        bank: The prompts.
        scheduler: Answers.
        metrics: Counts.
        limits: What a request may ask for.
        key: Of clients; None for none.
        admin_key: Of who loads and unloads prompts; None for nobody.
    """

    model: str
    fingerprint: str
    vocabulary: Vocabulary
    table: Table
    template: ChatTemplate | None
    engine: SlotEngine
    bare: Ready
    bank: Bank
    scheduler: Scheduler
    metrics: Metrics
    limits: Limits = dataclasses.field(default_factory=Limits)
    key: str | None = None
    admin_key: str | None = None
    started: int = dataclasses.field(default_factory=lambda: int(time.time()))


class _Question(NamedTuple):
    """A text behind a prompt."""

    name: str
    ready: Ready
    ids: list[int]
    tokens: int


def make_app(served: Served) -> Starlette:
    """Makes the application of all routes."""
    routes = _Routes(served)
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/", routes.page),
        ("GET", "/health", routes.health),
        ("GET", "/ready", routes.ready),
        ("GET", "/metrics", routes.metrics),
        ("GET", "/v1/info", routes.info),
        ("GET", "/v1/models", routes.models),
        ("GET", "/v1/models/{name:path}", routes.model),
        ("GET", "/v1/nearest/{name:path}", routes.nearest),
        ("POST", "/v1/completions", routes.completions),
        ("POST", "/v1/chat/completions", routes.chat),
        ("POST", "/v1/classify", routes.classify),
        ("POST", "/v1/load_prompt", routes.load_prompt),
        ("POST", "/v1/unload_prompt", routes.unload_prompt),
    ]
    return Starlette(
        routes=[Route(path, how, methods=[verb]) for verb, path, how in paths],
        middleware=[Middleware(_Keys, served=served)],
        exception_handlers={
            Refused: routes.refuse,
            404: routes.not_found,
            405: routes.not_found,
            Exception: routes.broken,
        },
    )


class _Keys:
    """Asks for the key, in front of all routes, unknown ones too."""

    def __init__(self, app: ASGIApp, served: Served):
        self._app, self._served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = self._served.key
        if scope["type"] == "http" and key is not None and scope["path"] not in _OPEN:
            given = _given_key(Request(scope))
            keys = (key, self._served.admin_key)
            if not any(known is not None and _same(given, known) for known in keys):
                self._served.metrics.refused(401)
                refused = Refused(
                    "no key, or a wrong one: send Authorization: Bearer KEY",
                    status=401,
                    kind="authentication_error",
                    code="invalid_api_key",
                )
                await JSONResponse(refused.body, 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Routes:
    """What each route answers."""

    def __init__(self, served: Served):
        self._served = served

    async def page(self, request: Request) -> Response:
        """The page for a browser."""
        del request
        page = read_page()
        return HTMLResponse(page.html, headers=page.headers)

    async def health(self, request: Request) -> Response:
        """Whether the process works."""
        del request
        fails = self._served.scheduler.failure is not None
        return JSONResponse({"status": "failed" if fails else "ok"}, 503 * fails or 200)

    async def ready(self, request: Request) -> Response:
        """Whether all is compiled."""
        del request
        is_ready = self._served.scheduler.is_ready.is_set()
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Counts, for Prometheus."""
        del request
        served = self._served
        served.metrics.prompts(len(served.bank.prompts))
        form = "text/plain; version=0.0.4; charset=utf-8"
        return Response(served.metrics.text(), media_type=form)

    async def info(self, request: Request) -> Response:
        """What is served, and its limits."""
        del request
        served, engine = self._served, self._served.engine
        return JSONResponse(
            {
                "model": served.model,
                "fingerprint": served.fingerprint,
                "slots": engine.slots,
                "slot_tokens": engine.capacity,
                "prompt_tokens": engine.prompt_room,
                "text_lengths": list(engine.lengths),
                "prompts": sorted(served.bank.prompts),
                "chat": served.template is not None,
                "limits": dataclasses.asdict(served.limits),
                "compiled": engine.compiled,
            }
        )

    async def models(self, request: Request) -> Response:
        """The model, and a card of each prompt."""
        del request
        prompts = self._served.bank.prompts
        cards = [self._card(None), *(self._card(prompts[name]) for name in prompts)]
        return JSONResponse({"object": "list", "data": cards})

    async def model(self, request: Request) -> Response:
        """One card."""
        return JSONResponse(self._card(self._find(request.path_params["name"])))

    async def nearest(self, request: Request) -> Response:
        """The words that each soft token of a prompt is near, by cosine."""
        named = self._find(request.path_params["name"])
        if named is None or not named.rows.size:
            return JSONResponse({"nearest": []})
        words = await asyncio.to_thread(_nearest_words, self._served, named)
        return JSONResponse({"nearest": words})

    async def completions(self, request: Request) -> Response:
        """Goes on from texts."""
        body = await self._body(request)
        options = read_options(body, chat=False)
        texts = read_texts(body, "prompt")
        questions = [self._question(options.model, text, "prompt") for text in texts]
        return await self._answer(
            request, _Completion(self._served), options, questions
        )

    async def chat(self, request: Request) -> Response:
        """Answers a conversation, by the model's own template."""
        body = await self._body(request)
        options = read_options(body, chat=True)
        turns = [Turn(role, content) for role, content in read_messages(body)]
        template = self._served.template
        if template is None:
            raise Refused(
                f"{self._served.model} has no chat template: use /v1/completions",
                field="messages",
            )
        try:
            text = template.write(turns, answer=True)
        except ValueError as error:
            raise Refused(
                "the model's chat template cannot write these messages: it may take "
                "no such role, or roles in another order",
                field="messages",
            ) from error
        question = self._question(options.model, text, "messages")
        return await self._answer(request, _Chat(self._served), options, [question])

    async def classify(self, request: Request) -> Response:
        """Says how likely each label is, among all, behind each text.

        A label counts with the end of the answer behind it, as method "rank" does.
        """
        body = await self._body(request)
        check_fields(body, CLASSIFY_FIELDS)
        model, labels = read_text(body, "model"), read_labels(body)
        named = self._find(model)
        labels = labels or list(named.labels if named else ())
        if not labels:
            raise Refused(
                f"the task of {cut(visible(model), most=100)!r} has no labels: give "
                "some",
                field="labels",
            )
        texts = read_texts(body, "input")
        questions = [self._question(model, text, "input") for text in texts]
        answers = _Answers(self._served, questions)
        end = self._served.vocabulary.eos_id
        for label in labels:
            answers.ask_forced([*self._encode(label, "labels"), end], "labels")
        found = await self._wait_for(request, answers)
        if found is None:
            return Response(status_code=499)
        sums = np.array([sum(t.log_prob for t in whole.tokens) for whole in found])
        # A label's answers to all questions stand together.
        scores = sums.reshape(len(labels), len(questions)).T
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        data = [
            {
                "index": number,
                "label": labels[int(np.argmax(row))],
                "probabilities": dict(zip(labels, row.tolist(), strict=True)),
                "log_probs": dict(zip(labels, scores[number].tolist(), strict=True)),
            }
            for number, row in enumerate(likely)
        ]
        usage = answers.usage()
        return JSONResponse(
            {"object": "list", "model": model, "data": data, "usage": usage}
        )

    async def load_prompt(self, request: Request) -> Response:
        """Loads a prompt of the server's folder, or loads it again."""
        name = await self._administered(request)
        bank = self._served.bank
        try:
            named = await self._on_engine(lambda: bank.load(name))
        except FileNotFoundError as error:
            raise Refused(str(error), status=404, field="prompt_name") from error
        except (ValueError, OSError) as error:
            raise Refused(str(error), field="prompt_name") from error
        return JSONResponse(self._card(named))

    async def unload_prompt(self, request: Request) -> Response:
        """Forgets a prompt; answers that have begun go on."""
        name = await self._administered(request)
        try:
            self._served.bank.unload(name)
        except KeyError as error:
            raise self._unknown(name) from error
        return JSONResponse({"id": name, "object": "model", "deleted": True})

    async def refuse(self, request: Request, error: Any) -> Response:
        """Tells a refusal."""
        del request
        self._served.metrics.refused(error.status)
        return JSONResponse(error.body, error.status, error.headers)

    async def not_found(self, request: Request, error: Any) -> Response:
        """Tells that there is no such route."""
        where = cut(visible(f"{request.method} {request.url.path}"), most=100)
        refused = Refused(f"no route {where}", status=error.status_code)
        return await self.refuse(request, refused)

    async def broken(self, request: Request, error: Exception) -> Response:
        """Tells that the server is wrong, not the request; without any text of it."""
        del error
        refused = Refused("the server failed", status=500, kind="server_error")
        return await self.refuse(request, refused)

    def _card(self, named: Named | None) -> dict[str, Any]:
        served = self._served
        card: dict[str, Any] = {
            "id": served.model if named is None else named.name,
            "object": "model",
            "created": served.started if named is None else named.created,
            "owned_by": "jaxprompt",
            "root": served.model,
            "parent": None if named is None else served.model,
            "max_model_len": served.engine.capacity,
        }
        told = (
            {"fingerprint": served.fingerprint} if named is None else named.describe()
        )
        return {**card, "metadata": told}

    def _find(self, model: str) -> Named | None:
        """Returns the prompt of a name; None for the model alone."""
        served = self._served
        if model == served.model:
            return None
        name = model.removeprefix(f"{served.model}:")
        if name not in served.bank.prompts:
            raise self._unknown(model)
        return served.bank.prompts[name]

    def _unknown(self, model: str) -> Refused:
        known = listed([self._served.model, *sorted(self._served.bank.prompts)])
        shown = cut(visible(model), most=100)
        return Refused(
            f"no model or prompt {shown!r}: there are {known}",
            status=404,
            field="model",
            code="model_not_found",
        )

    async def _body(self, request: Request) -> dict[str, Any]:
        self._check_ready()
        most, found = self._served.limits.body, b""
        async for part in request.stream():
            found += part
            if len(found) > most:
                raise Refused(
                    f"a body of more than {most} bytes: send a shorter text", status=413
                )
        return read_object(found)

    def _check_ready(self) -> None:
        if not self._served.scheduler.is_ready.is_set():
            raise Refused(
                "the server is not ready: ask /ready",
                status=503,
                kind="server_error",
                headers={"Retry-After": "5"},
            )

    async def _administered(self, request: Request) -> str:
        """Returns the prompt's name, of a request with the admin key."""
        key = self._served.admin_key
        if key is None:
            raise Refused(
                "prompts are loaded by who started the server: no admin key is set",
                status=403,
                kind="permission_error",
            )
        if not _same(_given_key(request), key):
            raise Refused("no admin key", status=403, kind="permission_error")
        body = await self._body(request)
        check_fields(body, ("prompt_name",))
        return read_text(body, "prompt_name")

    async def _on_engine(self, function: Callable[[], Any]) -> Any:
        try:
            future = self._served.scheduler.call(function)
        except RuntimeError as error:
            raise _failed() from error
        return await asyncio.wrap_future(future)

    def _question(self, model: str, text: str, field: str) -> _Question:
        served, named = self._served, self._find(model)
        ready = served.bare if named is None else named.ready
        ids = self._encode(text, field)
        row = served.engine.text_ids(ready, ids, served.vocabulary.eos_id)
        if served.engine.room(ready, row) < 1:
            raise Refused(
                f"{ready.tokens} tokens of the prompt and {len(ids)} of the text leave "
                f"no room for an answer in {served.engine.capacity}: send a shorter "
                "text",
                field=field,
                code="context_length_exceeded",
            )
        name = served.model if named is None else named.name
        return _Question(name, ready, row, len(ids))

    def _encode(self, text: str, field: str) -> list[int]:
        try:
            return self._served.vocabulary.encode(text)
        except ValueError as error:
            raise Refused(
                "the text holds a token without a row in the model's table",
                field=field,
            ) from error

    async def _answer(
        self,
        request: Request,
        form: "_Form",
        options: Options,
        questions: list[_Question],
    ) -> Response:
        """Asks all questions, each as often as wanted, and sends the answers."""
        answers = _Answers(self._served, questions)
        answers.ask(options)
        if options.stream:
            media = "text/event-stream; charset=utf-8"
            await answers.start()
            return StreamingResponse(
                form.events(answers, options),
                media_type=media,
                headers={"Cache-Control": "no-store"},
            )
        found = await self._wait_for(request, answers)
        if found is None:
            return Response(status_code=499)
        return JSONResponse(form.whole(found, answers, options))

    async def _wait_for(
        self, request: Request, answers: "_Answers"
    ) -> "list[_Whole] | None":
        """Returns all answers; None if the client has gone, whose slots are free."""
        await answers.start()
        gone = asyncio.ensure_future(_disconnected(request))
        whole = asyncio.ensure_future(answers.whole())
        try:
            await asyncio.wait((gone, whole), return_when=asyncio.FIRST_COMPLETED)
            return await whole if whole.done() else None
        finally:
            answers.cancel()
            gone.cancel()
            whole.cancel()


class _Whole(NamedTuple):
    """An answer that has ended."""

    text: str
    tokens: list[Token]
    finish: str


class _Answers:
    """The answers to the questions of one request, as they come."""

    def __init__(self, served: Served, questions: list[_Question]):
        self._served = served
        self._pieces: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._deadline = time.monotonic() + served.limits.seconds
        self._asked: list[Asked] = []
        self.questions, self.written = questions, 0

    def ask(self, options: Options) -> None:
        """Asks each question as often as wanted; its answers stand together.

        Raises:
            Refused: If there is no room for an answer.
        """
        for question in self.questions:
            room = _room_for(self._served, question)
            most = options.most or room
            if most > room:
                raise Refused(
                    f"max_tokens {most}: behind this text there is room for {room}",
                    field="max_tokens",
                )
            for choice in range(options.choices):
                how = options.how._replace(choice=choice)
                self._add(question, most, how, options.stops)

    def ask_forced(self, ids: list[int], field: str) -> None:
        """Asks how likely an answer is behind each question; these stand together."""
        for question in self.questions:
            room = _room_for(self._served, question)
            if len(ids) > room:
                raise Refused(
                    f"{field} holds {len(ids)} tokens: behind this text there is room "
                    f"for {room}",
                    field=field,
                )
            self._add(question, len(ids), GREEDY, (), ids)

    def _add(
        self,
        question: _Question,
        most: int,
        how: Sampling,
        stops: Sequence[str],
        forced: Sequence[int] = (),
    ) -> None:
        number = len(self._asked)

        def tell(piece: Piece) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self._loop.call_soon_threadsafe(
                    self._pieces.put_nowait, (number, piece)
                )

        self._asked.append(
            Asked(
                question.name,
                question.ready,
                question.ids,
                most,
                how,
                tell,
                stops,
                forced,
                self._deadline,
            )
        )

    @property
    def count(self) -> int:
        """How many answers there are."""
        return len(self._asked)

    async def start(self) -> None:
        """Lets the answers wait for slots."""
        try:
            self._served.scheduler.submit(*self._asked)
        except Full as error:
            raise Refused(
                "too many requests wait: ask again later",
                status=429,
                kind="rate_limit_error",
                code="rate_limit_exceeded",
                headers={"Retry-After": "1"},
            ) from error
        except RuntimeError as error:
            raise _failed() from error

    def cancel(self) -> None:
        """Frees the slots of what nobody waits for any more."""
        for asked in self._asked:
            asked.cancelled = True

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """Yields (number of the answer, piece) until all have ended.

        Raises:
            Refused: If one ends before its time.
        """
        left = self.count
        while left:
            number, piece = await self._pieces.get()
            if piece.finish == "deadline":
                raise Refused(
                    f"no answer within {self._served.limits.seconds:g} s",
                    status=504,
                    kind="timeout_error",
                )
            if piece.finish == "failed":
                raise _failed()
            self.written += piece.token is not None
            left -= piece.finish is not None
            yield number, piece

    async def whole(self) -> list[_Whole]:
        """Waits for all answers."""
        texts, finish = [""] * self.count, [""] * self.count
        tokens: list[list[Token]] = [[] for _ in range(self.count)]
        async for number, piece in self.pieces():
            texts[number] += piece.text
            if piece.token is not None:
                tokens[number].append(piece.token)
            finish[number] = piece.finish or ""
        return [_Whole(*parts) for parts in zip(texts, tokens, finish, strict=True)]

    def usage(self) -> dict[str, Any]:
        """Counts tokens. Soft ones are not the client's: they stand apart."""
        read = sum(question.tokens for question in self.questions)
        soft = sum(question.ready.tokens for question in self.questions)
        return {
            "prompt_tokens": read,
            "completion_tokens": self.written,
            "total_tokens": read + self.written,
            "prompt_tokens_details": {"cached_tokens": 0, "soft_tokens": soft},
        }


class _Form:
    """How answers are written: what completions and chats share."""

    object = ""
    chunk = ""
    prefix = ""

    def __init__(self, served: Served):
        self._vocabulary = served.vocabulary
        self._id = f"{self.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def choice(self, number: int, answer: _Whole, top: int | None) -> dict[str, Any]:
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
        self, found: list[_Whole], answers: _Answers, options: Options
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

    async def events(self, answers: _Answers, options: Options) -> AsyncIterator[str]:
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


class _Completion(_Form):
    """OpenAI's completions."""

    object = chunk = "text_completion"
    prefix = "cmpl"

    def choice(self, number: int, answer: _Whole, top: int | None) -> dict[str, Any]:
        return {
            "index": number,
            "text": answer.text,
            "finish_reason": answer.finish,
            "logprobs": self._log_probs(answer.tokens, top),
        }

    def delta(self, number: int, piece: Piece, top: int | None) -> dict[str, Any]:
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


class _Chat(_Form):
    """OpenAI's chat completions."""

    object = "chat.completion"
    chunk = "chat.completion.chunk"
    prefix = "chatcmpl"

    def opening(self, count: int) -> list[dict[str, Any]]:
        delta = {"role": "assistant", "content": ""}
        return [
            {"index": number, "delta": delta, "finish_reason": None, "logprobs": None}
            for number in range(count)
        ]

    def choice(self, number: int, answer: _Whole, top: int | None) -> dict[str, Any]:
        return {
            "index": number,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "finish_reason": answer.finish,
            "logprobs": self._log_probs(answer.tokens, top),
        }

    def delta(self, number: int, piece: Piece, top: int | None) -> dict[str, Any]:
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


def _room_for(served: Served, question: _Question) -> int:
    """Returns how many tokens an answer may have."""
    room = served.engine.room(question.ready, question.ids)
    return min(room, served.limits.tokens)


def _nearest_words(served: Served, named: Named) -> list[list[str]]:
    rows = jnp.arange(served.table.shape[0], dtype=jnp.int32)
    table = np.asarray(look_up(served.table, rows), np.float32)
    among = word_rows(served.vocabulary, len(table))
    prompt = make_prompt(jnp.asarray(named.rows))
    decode = served.vocabulary.decode
    found = describe_prompt(table, prompt, decode, _WORDS, among=among)
    return [[word for word, _ in token.words] for token in found]


async def _disconnected(request: Request) -> None:
    """Waits until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _given_key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else ""


def _same(given: str, known: str) -> bool:
    """Compares keys in a time that does not tell how much of one is right."""
    return hmac.compare_digest(given.encode(), known.encode())


def _failed() -> Refused:
    return Refused("the engine failed", status=500, kind="server_error")
