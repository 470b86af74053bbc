"""The page at /: one file, and what it may do in a browser."""

import base64
import functools
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple


class Page(NamedTuple):
    """The page, and the headers that it is sent with."""

    html: bytes
    headers: Mapping[str, str]


@functools.cache
def read_page() -> Page:
    """Reads the page; its own script and style may run, and nothing else.

    Source: Content Security Policy Level 3, sec. 8.4 (hashes of inline scripts).
    """
    file = resources.files("jaxprompt.serve.http") / "page.html"
    html = file.read_text(encoding="utf-8")
    policy = (
        "default-src 'self'",
        f"script-src {_hash_of(html, 'script')}",
        f"style-src {_hash_of(html, 'style')}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return Page(
        html.encode(),
        {
            "Content-Security-Policy": "; ".join(policy),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )


def _hash_of(html: str, tag: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
