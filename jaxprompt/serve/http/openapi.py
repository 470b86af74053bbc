"""What the server answers, as OpenAPI: for clients that are made by it, and fuzzing."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxprompt.serve.http.requests import (
    MOST_CHOICES,
    MOST_LABELS,
    MOST_STOPS,
    MOST_TEXTS,
)
from jaxprompt.serve.names import NAME
from jaxprompt.serve.slots.engine import TOP

_TEXT = {"type": "string"}
_ROW = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": _TEXT,
    "description": "The fields of a row, for a task that reads several: of a question "
    "about a text, question and context; of a choice, those of its texts.",
}
_TEXTS = {
    "oneOf": [
        _TEXT,
        _ROW,
        {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_TEXTS,
            "items": {"oneOf": [_TEXT, _ROW]},
        },
    ]
}
_LABELS = {
    "type": "array",
    "minItems": 2,
    "maxItems": MOST_LABELS,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 1},
}
_STOP = {"type": "string", "minLength": 1, "maxLength": 100}
_MODEL = {
    "type": "string",
    "description": "A prompt's name; the model's own for none; one+two to vote.",
}


def _whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _number(low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high}


def _or_null(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields that a client may also send as null, which counts as absent."""
    return {
        name: {"oneOf": [schema, {"type": "null"}]} if schema else {}
        for name, schema in fields.items()
    }


_SAMPLING: Mapping[str, Any] = {
    "max_tokens": _whole(1, 2**20),
    "temperature": {**_number(0, 2), "default": 0},
    "top_p": _number(1e-6, 1),
    "top_k": _whole(0, 2**20),
    "stop": {
        "oneOf": [_STOP, {"type": "array", "maxItems": MOST_STOPS, "items": _STOP}]
    },
    "seed": _whole(0, 2**63 - 1),
    "n": _whole(1, MOST_CHOICES),
    "stream": {"type": "boolean"},
    "stream_options": {
        "type": "object",
        "properties": _or_null({"include_usage": {"type": "boolean"}}),
        "additionalProperties": False,
    },
    "user": {},
}
_MESSAGE = {
    "type": "object",
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {
            "oneOf": [
                _TEXT,
                {
                    "type": "array",
                    "description": "Parts of a text, which are joined.",
                    "items": {
                        "type": "object",
                        "properties": {"type": {"const": "text"}, "text": _TEXT},
                        "required": ["type", "text"],
                    },
                },
            ]
        },
        "name": {},
        "refusal": {"type": "null"},
    },
    "required": ["role", "content"],
    "additionalProperties": False,
}
_NAMED = {"prompt_name": {"type": "string", "pattern": f"^{NAME.pattern}$"}}
_BODIES: Mapping[str, tuple[str, Mapping[str, Any], tuple[str, ...]]] = {
    "/v1/completions": (
        "Answers texts as the prompt's task puts them.",
        {
            "model": _MODEL,
            "prompt": _TEXTS,
            **_or_null({**_SAMPLING, "logprobs": _whole(0, TOP)}),
        },
        ("model", "prompt"),
    ),
    "/v1/chat/completions": (
        "Answers a conversation, by the model's own chat template.",
        {
            "model": _MODEL,
            "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
            **_or_null(
                {
                    **_SAMPLING,
                    "max_completion_tokens": _whole(1, 2**20),
                    "logprobs": {"type": "boolean"},
                    "top_logprobs": _whole(0, TOP),
                }
            ),
        },
        ("model", "messages"),
    ),
    "/v1/classify": (
        "Says how likely each label is; a prompt with a head answers by that: with a "
        "label, one of several texts, tags of words, or where the answer stands.",
        {
            "model": _MODEL,
            "input": _TEXTS,
            **_or_null({"labels": _LABELS, "user": {}}),
        },
        ("model", "input"),
    ),
    "/v1/load_prompt": ("Loads a prompt of the folder.", _NAMED, ("prompt_name",)),
    "/v1/unload_prompt": ("Forgets a prompt.", _NAMED, ("prompt_name",)),
}
_READ: Mapping[str, str] = {
    "/": "The page for a browser.",
    "/favicon.ico": "None.",
    "/openapi.json": "This description.",
    "/health": "Whether the process works.",
    "/ready": "Whether all is compiled.",
    "/metrics": "Counts, for Prometheus.",
    "/v1/info": "What is served, and its limits.",
    "/v1/models": "The model, and a card of each prompt.",
    "/v1/models/{name}": "One card.",
    "/v1/nearest/{name}": "The words that each soft token of a prompt is near.",
}
_LIKELY = {"type": "object", "additionalProperties": _number(0, 1)}
_PLACE = {"type": ["integer", "null"], "minimum": 0}
_CLASSIFIED: Mapping[str, Mapping[str, Any]] = {
    "of a label, or of one of several texts": {
        "label": _TEXT,
        "probabilities": _LIKELY,
        "log_probs": {"type": "object", "additionalProperties": {"type": "number"}},
        "votes": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "of words": {
        "tags": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "word": _TEXT,
                    "tag": _TEXT,
                    "probability": {"type": ["number", "null"]},
                },
                "required": ["word", "tag", "probability"],
            },
        }
    },
    "that stands in the context, from character start to end; null where none does": {
        "answer": _TEXT,
        "start": _PLACE,
        "end": _PLACE,
        "probability": _number(0, 1),
        "probabilities": _LIKELY,
    },
}
_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "/v1/classify": {
        "type": "object",
        "properties": {
            "object": {"const": "list"},
            "model": _TEXT,
            "data": {
                "type": "array",
                "items": {
                    "oneOf": [
                        {
                            "type": "object",
                            "description": f"The answer {what}.",
                            "properties": {"index": {"type": "integer"}, **fields},
                            "required": ["index", *fields],
                            "additionalProperties": False,
                        }
                        for what, fields in _CLASSIFIED.items()
                    ]
                },
            },
            "usage": {"type": "object"},
        },
        "required": ["object", "model", "data", "usage"],
    }
}
"""Path -> the schema of its answer, where that is not OpenAI's."""
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}


def describe(version: str, names: Sequence[str]) -> dict[str, Any]:
    """Returns the description, of OpenAPI 3.1.

    Args:
        version: Of this package.
        names: Those of the model and of prompts, for examples of what can be asked.
    """
    examples = {"examples": [*names]}
    answers = {
        "200": {"description": "The answer."},
        "default": {
            "description": "A refusal, in the shape of OpenAI's.",
            "content": {"application/json": {"schema": _ERROR}},
        },
    }
    paths: dict[str, Any] = {}
    for path, what in _READ.items():
        told = answers
        if path == "/favicon.ico":
            told = {"204": {"description": "Nothing."}}
        paths[path] = {"get": {"summary": what, "responses": told}}
        if "{name}" in path:
            name = {"name": "name", "in": "path", "required": True}
            found = [{**name, "schema": {**_TEXT, **examples}}]
            paths[path]["get"]["parameters"] = found
    for path, (what, fields, required) in _BODIES.items():
        schema = {
            "type": "object",
            "properties": {
                name: {**field, **examples} if name == "model" else field
                for name, field in fields.items()
            },
            "required": [*required],
            "additionalProperties": False,
        }
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        told = dict(answers)
        if path in _ANSWERS:
            content = {"application/json": {"schema": _ANSWERS[path]}}
            told["200"] = {**answers["200"], "content": content}
        paths[path] = {
            "post": {"summary": what, "requestBody": body, "responses": told}
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "jaxprompt", "version": version},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}
        },
        "security": [{}, {"key": []}],
        "paths": paths,
    }
