"""What a client may ask, checked: anything unknown is refused by its name."""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxprompt.files.strict_json import NotJson, parse_json
from jaxprompt.screen.quoting import cut, listed, visible
from jaxprompt.serve.slots.engine import TOP, Sampling
from jaxprompt.serve.texts import Text

MOST_CHOICES = 16
"""Answers to one question."""

MOST_TEXTS = 16
"""Questions of one request."""

MOST_LABELS = 64
"""Labels to choose from."""

MOST_STOPS = 4
"""Stop strings, as in OpenAI's API."""

_SHARED = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "n",
    "stream",
    "stream_options",
    "logprobs",
    "user",
)
COMPLETION_FIELDS = (*_SHARED, "prompt")
CLASSIFY_FIELDS = ("model", "input", "labels", "user")
CHAT_FIELDS = (*_SHARED, "messages", "max_completion_tokens", "top_logprobs")


class Refused(Exception):
    """A request that is not answered, in the shape of OpenAI's errors.

    Attributes:
        status: HTTP status.
        kind: OpenAI's type of error.
        field: The field of the request that is wrong; None for no single one.
        code: OpenAI's code; None for none.
        headers: Of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        field: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.kind = status, kind
        self.field, self.code = field, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """What is sent, as JSON can hold it."""
        return {
            "error": {
                "message": str(self),
                "type": self.kind,
                "param": self.field,
                "code": self.code,
            }
        }


class Options(NamedTuple):
    """How a question is to be answered.

    Attributes:
        model: The name of the prompt.
        most: Tokens that an answer may have; None for the server's limit.
        how: How tokens are chosen, of the first answer.
        stops: Texts in front of which it ends.
        choices: Answers to the question.
        stream: Whether they are sent as they are written.
        usage: Whether the stream ends with the numbers of tokens.
        top: How many likely tokens are told with each; None for no log-probabilities.
    """

    model: str
    most: int | None
    how: Sampling
    stops: tuple[str, ...]
    choices: int
    stream: bool
    usage: bool
    top: int | None


def read_object(text: bytes) -> dict[str, Any]:
    """Reads the body of a request.

    Raises:
        Refused: If it is no JSON object.
    """
    try:
        found = parse_json(text.decode())
    except (NotJson, UnicodeDecodeError) as error:
        raise Refused(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused("the body is no JSON object: send one")
    return found


def check_fields(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuses a field that is not known, so that a misspelt one is not lost."""
    for name in body:
        if name not in known:
            shown = cut(visible(name), most=60)
            raise Refused(
                f"unknown field {shown!r}: this server knows {listed(known)}",
                field=shown,
                code="unknown_parameter",
            )


def read_options(body: Mapping[str, Any], *, chat: bool) -> Options:
    """Reads all fields but the text.

    Args:
        body: The request.
        chat: Whether it is a chat's, whose log-probabilities are asked for otherwise.

    Raises:
        Refused: If a field is unknown, or its value not one that it may have.
    """
    check_fields(body, CHAT_FIELDS if chat else COMPLETION_FIELDS)
    stream = _boolean(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong("stream_options", options, "an object")
    check_fields(options or {}, ("include_usage",))
    seed = _whole(body, "seed", 0, 2**63 - 1)
    top: int | None
    if chat:
        top = _whole(body, "top_logprobs", 0, TOP) or 0
        top = top if _boolean(body, "logprobs") else None
    else:
        top = _whole(body, "logprobs", 0, TOP)
    most = _whole(body, "max_tokens", 1, 2**20)
    if chat and body.get("max_completion_tokens") is not None:
        most = _whole(body, "max_completion_tokens", 1, 2**20)
    return Options(
        read_text(body, "model"),
        most,
        Sampling(
            temperature=_number(body, "temperature", 0.0, 2.0) or 0.0,
            top_p=_number(body, "top_p", 1e-6, 1.0) or 1.0,
            top_k=_whole(body, "top_k", 0, 2**20) or 0,
            seed=(secrets.randbits(32) if seed is None else seed) % 2**32,
        ),
        _stops(body),
        _whole(body, "n", 1, MOST_CHOICES) or 1,
        stream,
        bool(_boolean(options or {}, "include_usage")),
        top,
    )


def read_text(body: Mapping[str, Any], field: str) -> str:
    """Reads a field that must be there, and a text."""
    value = body.get(field)
    if not isinstance(value, str):
        raise _wrong(field, value, "a text")
    return value


def read_texts(body: Mapping[str, Any], field: str) -> list[Text]:
    """Reads a field that must be there: what is asked, once or a few times.

    Each is a text, or an object of a row's fields, whose values are texts.
    """
    value = body.get(field)
    texts = [value] if isinstance(value, str | dict) else value
    sound = isinstance(texts, list) and 0 < len(texts) <= MOST_TEXTS
    if not sound or not all(map(_is_text, texts or ())):
        raise Refused(
            f"{field} must be a text, or an object of texts, or 1 to {MOST_TEXTS} of "
            "them",
            field=field,
        )
    return list(texts or ())


def _is_text(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(isinstance(x, str) for x in value.values())
    return isinstance(value, str)


def read_labels(body: Mapping[str, Any]) -> list[str] | None:
    """Reads the labels to choose from; None for those of the prompt's task."""
    labels = body.get("labels")
    if labels is None:
        return None
    sound = isinstance(labels, list) and 2 <= len(labels) <= MOST_LABELS
    if not sound or not all(isinstance(label, str) and label for label in labels):
        raise Refused(f"labels must be 2 to {MOST_LABELS} words", field="labels")
    if len({*labels}) < len(labels):
        raise Refused("labels holds a word twice: leave one out", field="labels")
    return labels


def read_messages(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Reads the turns of a chat, as (role, content)."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", messages, "a list of one or more")
    found = []
    for number, message in enumerate(messages):
        field = f"messages[{number}]"
        if not isinstance(message, dict):
            raise _wrong(field, message, "an object")
        # OpenAI's answers, and ours, have a refusal, and are sent back as a turn.
        message = {k: x for k, x in message.items() if (k, x) != ("refusal", None)}
        check_fields(message, ("role", "content", "name"))
        content = message.get("content")
        if isinstance(content, list):  # OpenAI's parts; texts alone are understood.
            parts = [
                part.get("text")
                for part in content
                if isinstance(part, dict) and part.get("type") == "text"
            ]
            whole = len(parts) == len(content) and all(
                isinstance(part, str) for part in parts
            )
            content = "".join(map(str, parts)) if whole else None
        role = message.get("role")
        if role not in ("system", "developer", "user", "assistant"):
            raise _wrong(f"{field}.role", role, "system, user or assistant")
        if not isinstance(content, str):
            raise _wrong(f"{field}.content", message.get("content"), "a text")
        found.append((role, content))
    return found


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    sound = isinstance(stops, list) and len(stops) <= MOST_STOPS
    if not sound or not all(
        isinstance(stop, str) and 0 < len(stop) <= 100 for stop in stops
    ):
        raise _wrong(
            "stop", value, f"a text, or up to {MOST_STOPS}, of 1 to 100 characters"
        )
    return tuple(stops)


def _boolean(body: Mapping[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise _wrong(field, value, "true or false")
    return bool(value)


def _whole(body: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON does not tell 1.0 from 1.
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= high
    ):
        raise _wrong(field, value, f"a whole number from {low} to {high}")
    return value


def _number(
    body: Mapping[str, Any], field: str, low: float, high: float
) -> float | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(field, value, f"a number from {low:g} to {high:g}")
    if not low <= value <= high:
        raise _wrong(field, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _wrong(field: str, value: Any, wanted: str) -> Refused:
    shown = "absent" if value is None else cut(visible(repr(value)), most=60)
    return Refused(f"{field} is {shown}: it must be {wanted}", field=field)
