"""What each route answers."""

import asyncio
import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from jaxprompt import __version__
from jaxprompt.data.tasks.verbalizer import Verbalizer
from jaxprompt.data.vocabulary.chat import Turn
from jaxprompt.data.vocabulary.words import word_rows
from jaxprompt.models.quantise import look_up
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.reading.nearest import describe_prompt
from jaxprompt.screen.quoting import cut, visible
from jaxprompt.serve.bank import Named
from jaxprompt.serve.http.answers import (
    AskedText,
    HeadScores,
    RequestAnswers,
)
from jaxprompt.serve.http.client import Stream, nobody, read_body, wait_for
from jaxprompt.serve.http.forms import AnswerForm, Chat, Completion
from jaxprompt.serve.http.head_forms import chosen_labels, found_answers, tagged_words
from jaxprompt.serve.http.keys import given_key, same_key
from jaxprompt.serve.http.openapi import describe
from jaxprompt.serve.http.page import read_page
from jaxprompt.serve.http.questions import Questions
from jaxprompt.serve.http.requests import (
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
from jaxprompt.serve.http.served import Served
from jaxprompt.serve.http.vote import vote
from jaxprompt.serve.texts import Headed, Text

_WORDS = 5
"""Nearest words of each soft token."""

_EXAMPLES = 8
"""Names that /openapi.json has as examples."""


class Routes:
    """What each route answers."""

    def __init__(self, served: Served):
        self._served, self._questions = served, Questions(served)

    async def page(self, request: Request) -> Response:
        """The page for a browser."""
        del request
        page = read_page()
        return HTMLResponse(page.html, headers=page.headers)

    async def icon(self, request: Request) -> Response:
        """None, for browsers, which ask for one."""
        del request
        return Response(status_code=204)

    async def openapi(self, request: Request) -> Response:
        """What can be asked, as OpenAPI."""
        del request
        names = [self._served.model, *sorted(self._served.bank.prompts)]
        return JSONResponse(describe(__version__, names[:_EXAMPLES]))

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
        served.metrics.compiled(served.compiled)
        served.metrics.load(*served.scheduler.load)
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
                "label_rows": served.labels.rows,
                "compiled": served.compiled,
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
        return JSONResponse(
            self._card(self._questions.find(request.path_params["name"]))
        )

    async def nearest(self, request: Request) -> Response:
        """The words that each soft token of a prompt is near, by cosine."""
        named = self._questions.find(request.path_params["name"])
        if named is None or not named.rows.size:
            return JSONResponse({"nearest": []})
        words = await asyncio.to_thread(_nearest_words, self._served, named)
        return JSONResponse({"nearest": words})

    async def completions(self, request: Request) -> Response:
        """Answers texts as their prompt's task puts them, or goes on from them."""
        body = await self._body(request)
        options = read_options(body, chat=False)
        texts = read_texts(body, "prompt")
        questions = self._questions.in_words(options.model, texts, "prompt")
        return await self._answer(request, Completion(self._served), options, questions)

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
            text = template.write(turns, answer=True, now=datetime.datetime.now())
        except ValueError as error:
            raise Refused(
                "the model's chat template cannot write these messages: it may take "
                "no such role, or roles in another order",
                field="messages",
            ) from error
        questions = self._questions.in_words(
            options.model, [text], "messages", chat=True
        )
        return await self._answer(request, Chat(self._served), options, questions)

    async def classify(self, request: Request) -> Response:
        """Says how likely each label is, among all, behind each text.

        A label counts with the end of the answer behind it, as method "rank" does. A
        prompt with a head answers by that: with one of its labels or of several texts,
        a tag for each word, or the answer that stands in a text.
        """
        body = await self._body(request)
        check_fields(body, CLASSIFY_FIELDS)
        model, labels = read_text(body, "model"), read_labels(body)
        texts = read_texts(body, "input")
        voters = len(self._questions.voters(model))
        head = self._questions.head_of(model, labels)
        if head is not None:
            return await self._score(request, model, texts, head, voters)
        verbalizer = self._questions.verbalizer(model, labels)
        labels = verbalizer.labels
        questions = self._questions.in_words(model, texts, "input")
        answers = RequestAnswers(self._served, questions)
        for word in verbalizer.flat:
            answers.ask_forced(word, "labels")
        found = await wait_for(request, answers)
        if found is None:
            return nobody()
        sums = np.array([sum(t.log_prob for t in whole.tokens) for whole in found])
        # A word's answers to all questions stand together.
        words = sums.reshape(len(verbalizer.flat), len(questions)).T
        scores = _class_scores(verbalizer, words)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        data = chosen_labels(labels, likely, scores, voters)
        return JSONResponse(_list_of(model, data, answers.usage()))

    async def _score(
        self,
        request: Request,
        model: str,
        texts: Sequence[Text],
        head: Headed,
        voters: int,
    ) -> Response:
        """Answers `classify` by heads."""
        scores = HeadScores(
            self._served, self._questions.to_score(model, texts, "input")
        )
        found = await wait_for(request, scores)
        if found is None:
            return nobody()
        laid, labels = [one.laid for one in scores.questions], head.answers.labels
        if head.answers.of_words:
            words = [one.words for one in laid]
            places = [one.places for one in laid]
            data = tagged_words(labels, words, [one[0] for one in found], places)
        elif labels:
            likely = np.stack([one[0, 0] for one in found])
            # JSON has no number for the logarithm of 0.
            log_probs = np.log(np.maximum(likely, np.finfo(np.float32).tiny))
            data = chosen_labels(labels, likely, log_probs, voters)
        else:
            data = found_answers(head.answers, laid, found)
        return JSONResponse(_list_of(model, data, scores.usage()))

    async def load_prompt(self, request: Request) -> Response:
        """Loads a prompt of the server's folder, or loads it again."""
        name = await self._administered(request)
        bank = self._served.bank
        try:
            named = await self._on_loader(lambda: bank.load(name))
        except FileNotFoundError as error:
            raise Refused(str(error), status=404, field="prompt_name") from error
        except (ValueError, OSError) as error:
            raise Refused(str(error), field="prompt_name") from error
        return JSONResponse(self._card(named))

    async def unload_prompt(self, request: Request) -> Response:
        """Forgets a prompt; answers that have begun go on."""
        name = await self._administered(request)
        bank = self._served.bank
        try:
            await self._on_loader(lambda: bank.unload(name))
        except KeyError as error:
            raise self._questions.unknown(name) from error
        return JSONResponse({"id": name, "object": "model", "deleted": True})

    async def refuse(self, request: Request, error: Any) -> Response:
        """Tells a refusal."""
        del request
        self._served.metrics.refused(error.status)
        return JSONResponse(error.body, error.status, error.headers)

    async def gone(self, request: Request, error: Exception) -> Response:
        """Answers nobody: the client has gone before all of its request was there."""
        del request, error
        return nobody()

    async def not_found(self, request: Request, error: Any) -> Response:
        """Tells that there is no such route."""
        where = cut(visible(f"{request.method} {request.url.path}"), most=100)
        # Of a route that there is, for other methods, they are named in a header.
        refused = Refused(
            f"no route {where}", status=error.status_code, headers=error.headers
        )
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

    async def _body(self, request: Request) -> dict[str, Any]:
        self._check_ready()
        return read_object(await read_body(request, self._served.limits))

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
        if not same_key(given_key(request), key):
            raise Refused("no admin key", status=403, kind="permission_error")
        body = await self._body(request)
        check_fields(body, ("prompt_name",))
        return read_text(body, "prompt_name")

    async def _on_loader(self, function: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._served.loader, function)

    async def _answer(
        self,
        request: Request,
        form: AnswerForm,
        options: Options,
        questions: list[AskedText],
    ) -> Response:
        """Asks all questions, each as often as wanted, and sends the answers."""
        voters = self._questions.voters(options.model)
        if len(voters) > 1 and (options.stream or options.choices > 1):
            raise Refused(
                f"{len(voters)} prompts vote on one answer, which is neither streamed "
                "nor one of several: leave stream and n out",
                field="stream" if options.stream else "n",
            )
        answers = RequestAnswers(self._served, questions)
        answers.ask(options)
        if options.stream:
            await answers.start()
            return Stream(form.events(answers, options), answers)
        found = await wait_for(request, answers)
        if found is None:
            return nobody()
        if len(voters) == 1:
            return JSONResponse(form.whole(found, answers, options))
        starts = range(0, len(found), len(voters))
        groups = [found[start : start + len(voters)] for start in starts]
        votes = [vote([answer.text for answer in group]) for group in groups]
        winners = [
            group[counted.winner] for group, counted in zip(groups, votes, strict=True)
        ]
        whole = form.whole(winners, answers, options)
        for choice, counted in zip(whole["choices"], votes, strict=True):
            choice["votes"] = counted.counts
        return JSONResponse(whole)


def _list_of(model: str, data: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "model": model, "data": data, "usage": usage}


def _class_scores(
    verbalizer: Verbalizer, words: Float[np.ndarray, "Q W"]
) -> Float[np.ndarray, "Q C"]:
    """Adds up the probabilities of the words of each class, or takes their mean."""
    counts = [len(of_class) for of_class in verbalizer.words]
    starts = np.cumsum([0, *counts[:-1]])
    scores = np.logaddexp.reduceat(words, starts, axis=1)
    return scores - np.log(counts) * (verbalizer.score == "mean")


def _nearest_words(served: Served, named: Named) -> list[list[str]]:
    rows = jnp.arange(served.table.shape[0], dtype=jnp.int32)
    table = np.asarray(look_up(served.table, rows), np.float32)
    among = word_rows(served.vocabulary, len(table))
    prompt = make_prompt(jnp.asarray(named.rows))
    decode = served.vocabulary.decode
    found = describe_prompt(table, prompt, decode, _WORDS, among=among)
    return [[word for word, _ in token.words] for token in found]
