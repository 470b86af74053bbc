"""Keys: compared whole, whatever characters they have."""

import hmac

import pytest
from starlette.requests import Request

from jaxprompt.serve.http.keys import given_key, same_key


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
