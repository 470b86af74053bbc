"""Headless Chromium, driven over a pipe; no driver and no package is needed."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Returns the browser's path, that of $CHROMIUM first, or skips the test."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: install Debian's chromium, or set CHROMIUM")
    return found


class Browser:
    """One page of a browser.

    Attributes:
        problems: What the page's console has told: errors, refused addresses.
    """

    def __init__(self, to: int, back: int):
        self._to, self._back = to, back
        self._number, self._left = 0, b""
        self._session: str | None = None
        self.problems: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command, and returns what it answers."""
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.problems.append(json.dumps(told["params"]))
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]

    def run(self, script: str) -> Any:
        """Runs a script in the page, and returns its value."""
        options = {"returnByValue": True, "awaitPromise": True}
        told = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Waits until a script's value is true, and returns it."""
        end = time.monotonic() + 20
        while not (value := self.run(script)):
            assert time.monotonic() < end, (script, self.problems)
            time.sleep(0.05)
        return value

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses a key and lets it go."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self.send("Input.dispatchKeyEvent", type="keyDown", **named)
        self.send("Input.dispatchKeyEvent", type="keyUp", **named)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._back, 2**16)
            assert part, "the browser has ended"
            self._left += part
        told, _, self._left = self._left.partition(b"\0")
        return json.loads(told)


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Starts the browser with a profile of its own."""
    command = [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    # The browser reads from descriptor 3 and writes to 4, whatever these are here.
    script = f'exec "$@" 3<&{their_in} 4>&{their_out}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(their_in, their_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(our_out, our_in)
    finally:
        process.kill()
        process.wait()
        os.close(our_out)
        os.close(our_in)
