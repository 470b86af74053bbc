"""The ASGI application: which route answers at which path."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from jaxprompt.serve.http.keys import Keys
from jaxprompt.serve.http.requests import Refused
from jaxprompt.serve.http.routes import Routes
from jaxprompt.serve.http.served import Served


def make_app(served: Served) -> Starlette:
    """Makes the application of all routes."""
    routes = Routes(served)
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/", routes.page),
        ("GET", "/favicon.ico", routes.icon),
        ("GET", "/openapi.json", routes.openapi),
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
        middleware=[Middleware(Keys, served=served)],
        exception_handlers={
            Refused: routes.refuse,
            ClientDisconnect: routes.gone,
            404: routes.not_found,
            405: routes.not_found,
            Exception: routes.broken,
        },
    )
