"""Any JSON is a request or is refused in a line; nothing else comes of it."""

import hypothesis
import hypothesis.strategies as st
import pytest

from jaxprompt.serve.http.requests import (
    CHAT_FIELDS,
    Refused,
    read_labels,
    read_messages,
    read_object,
    read_options,
    read_texts,
)

TEXTS = st.text("ab\n\u202e", max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(CHAT_FIELDS), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from([*CHAT_FIELDS, "prompt", "labels"]), VALUES)


def refusal_of(read) -> Refused | None:
    try:
        read()
    except Refused as refused:
        return refused
    return None


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(body=BODIES, chat=st.booleans())
def test_any_object_is_read_or_refused_in_a_line(body, chat):
    readers = [
        lambda: read_options(body, chat=chat),
        lambda: read_messages(body),
        lambda: read_labels(body),
        lambda: read_texts(body, "prompt"),
    ]
    for read in readers:
        refused = refusal_of(read)
        assert refused is None or (refused.status, "\n" in str(refused)) == (400, False)


@hypothesis.given(text=st.binary(max_size=30))
def test_any_bytes_are_an_object_or_refused(text):
    refused = refusal_of(lambda: read_object(text))
    assert refused is None or refused.status == 400


def test_parts_of_a_message_are_joined_and_other_kinds_refused():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    said = {"messages": [{"role": "user", "content": parts}]}
    assert read_messages(said) == [("user", "ab")]
    parts.append({"type": "image_url", "image_url": {"url": "x"}})
    with pytest.raises(Refused, match=r"messages\[0\].content is .* must be a text"):
        read_messages(said)
