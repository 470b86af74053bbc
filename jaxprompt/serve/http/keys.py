"""The key that guards the routes."""

import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jaxprompt.serve.http.requests import Refused
from jaxprompt.serve.http.served import Served

_OPEN = ("/", "/favicon.ico", "/health")
"""What answers without a key: a page that holds nothing, where a key can be typed."""


class Keys:
    """Asks for the key, in front of all routes, unknown ones too."""

    def __init__(self, app: ASGIApp, served: Served):
        self._app, self._served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request without the key, or passes it on."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            refused = self._refusal(Request(scope))
            if refused is not None:
                self._served.metrics.refused(refused.status)
                answer = JSONResponse(refused.body, refused.status)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Refused | None:
        # A browser says so where another address's page asks.
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return Refused(
                "a page of another address asked: open the server's own page",
                status=403,
                kind="permission_error",
            )
        if self._served.key is None:
            return None
        given = given_key(request)
        keys = (self._served.key, self._served.admin_key)
        if any(known is not None and same_key(given, known) for known in keys):
            return None
        return Refused(
            "no key, or a wrong one: send Authorization: Bearer KEY",
            status=401,
            kind="authentication_error",
            code="invalid_api_key",
        )


def given_key(request: Request) -> str:
    """Returns the key of a request; empty where it has none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else ""


def same_key(given: str, known: str) -> bool:
    """Compares keys in a time that does not tell how much of one is right.

    Args:
        given: From a request's header, each byte of which is a character there.
        known: The key, as its file or the environment has it.
    """
    return hmac.compare_digest(given.encode("latin-1"), known.encode())
