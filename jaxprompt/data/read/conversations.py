"""Files of conversations -> turns, in the layouts of OpenAI's and of ShareGPT's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from jaxprompt.data.read.fields import field_rows
from jaxprompt.data.read.files import Row, field_text
from jaxprompt.files.strict_json import as_json
from jaxprompt.screen.quoting import listed, quoted

_ROLES: Mapping[str, str] = MappingProxyType(
    {
        "system": "system",
        "user": "user",
        "assistant": "assistant",
        "human": "user",
        "gpt": "assistant",
    }
)
"""A role as files write it -> as chat templates do."""

_LAYOUTS = (("role", "content"), ("from", "value"))
"""Keys of a turn's role and text: those of OpenAI's files, and of ShareGPT's."""

_CALLS = ("tool_calls", "function_call")
"""Keys of an answer that calls a program, which is no text."""


class Conversation(NamedTuple):
    """A conversation of a file.

    Attributes:
        roles: Of each turn "system", "user" or "assistant", in order.
        texts: What is said.
        learned: Whether it is an answer that may be learned.
    """

    roles: tuple[str, ...]
    texts: tuple[str, ...]
    learned: tuple[bool, ...]


def read_conversation(row: Row, field: str) -> Conversation:
    """Reads the turns of a row, as {"role": "user", "content": "Hello"}.

    ShareGPT's {"from": "human", "value": "Hello"} is the same, and so is a content of
    OpenAI's text parts. An answer with {"weight": 0} is read, and not learned.

    Args:
        row: The row.
        field: Its list of turns, such as "messages".

    Raises:
        ValueError: If a turn is malformed, or of another role; names file and line.
    """
    roles, texts, learned = [], [], []
    for turn in field_rows(row, field):
        role, text = _keys(turn)
        called = next((name for name in _CALLS if turn.fields.get(name)), None)
        if called is not None:
            raise ValueError(
                f"{turn.where}: the turn has {called}, which no prompt learns: leave "
                "the conversation out, or write the call as its text"
            )
        name = field_text(turn, role)
        if name not in _ROLES:
            raise ValueError(
                f"{turn.where}: {role} {quoted(name)} is not one of {listed(_ROLES)}"
            )
        roles.append(_ROLES[name])
        texts.append(_text(turn, text))
        learned.append(roles[-1] == "assistant" and _weight(turn) == 1)
    if not roles:
        raise ValueError(f"{row.where}: {field} is []: give the turns")
    return Conversation(tuple(roles), tuple(texts), tuple(learned))


def _keys(turn: Row) -> tuple[str, str]:
    found = [keys for keys in _LAYOUTS if keys[0] in turn.fields]
    if not found:
        raise ValueError(
            f"{turn.where}: no field 'role': the turn has {listed(turn.fields)}: "
            'write {"role": "user", "content": TEXT}'
        )
    return found[0]


def _text(turn: Row, name: str) -> str:
    """Returns what is said; of OpenAI's parts those of text, one behind the other."""
    if not isinstance(turn.fields.get(name), list):
        return field_text(turn, name)
    texts = []
    for part in field_rows(turn, name):
        kind = field_text(part, "type")
        if kind != "text":
            raise ValueError(
                f"{part.where}: a part of type {quoted(kind)}, where only text is read"
            )
        texts.append(field_text(part, "text"))
    return "".join(texts)


def _weight(turn: Row) -> int:
    weight = turn.fields.get("weight", 1)
    if weight not in (0, 1):
        raise ValueError(
            f"{turn.where}: weight {as_json(weight)}: use 1 for an answer to learn, "
            "or 0"
        )
    return int(weight)
