"""What an answer's JSON says of single tokens."""

from types import SimpleNamespace
from typing import Any

from jaxprompt.serve.http.answers import Whole
from jaxprompt.serve.http.forms import Chat
from jaxprompt.serve.slots.scheduler import Token


def test_a_part_of_a_character_has_no_bytes_of_another_one():
    """Clients join the bytes of tokens; null is OpenAI's word for none."""
    # A token is a byte, as tokenizers over bytes decode it.
    words = SimpleNamespace(decode=lambda ids: bytes(ids).decode(errors="replace"))
    served: Any = SimpleNamespace(vocabulary=words)
    tokens = [Token(byte, -1.0, [(byte, -1.0)]) for byte in "a\u00e9".encode()]
    choice = Chat(served).choice(0, Whole("a\u00e9", tokens, "stop"), 1)
    said = choice["logprobs"]["content"]
    assert [token["bytes"] for token in said] == [[97], None, None]
    assert said[1]["top_logprobs"][0]["bytes"] is None
