"""Keys: compared whole, whatever characters they have."""

import hmac

import pytest
from starlette.requests import Request

from jaxprompt.serve.http.keys import given_key, same_key
from jaxprompt.serve.server import ready_lines


def request_with(header: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", header)]})


@pytest.mark.parametrize("key", ["secret", "schlüssel", "鍵"])
def test_a_key_is_the_one_that_a_client_sends_as_utf8(key):
    given = given_key(request_with(f"Bearer {key}".encode()))
    assert same_key(given, key)
    assert not same_key(given, key + "s")
    assert not same_key(given_key(request_with(f"Basic {key}".encode())), key)


def test_keys_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return compare_digest(given, known)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert not same_key("secreT", "secret")
    assert compared == [(b"secreT", b"secret")]


@pytest.mark.parametrize(
    ("host", "key", "told"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("10.1.2.3", None, True),
        ("0.0.0.0", "secret", False),
    ],
)
def test_a_server_for_everybody_says_so(host: str, key: str | None, told: bool):
    ready, *more = ready_lines(host, 8000, 3, key)
    where = f"[{host}]" if ":" in host else host
    assert ready == f"ready on http://{where}:8000 with 3 prompts"
    assert len(more) == told
    assert all(f"whoever reaches {where}:8000 is answered" in line for line in more)
    assert not any("secret" in line for line in [ready, *more])
