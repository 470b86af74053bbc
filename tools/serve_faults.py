"""Does to a server what clients, files and disks may do, and prints what it cost.

    python tools/serve_faults.py --model=SmolLM2-135M-Instruct.Q4_1.gguf --times=200

Meanwhile other clients ask for answers, each of which is compared with the one that the
same request got before anything happened. Afterwards nothing may be held that was not
held before: no slot, no file, no thread, no memory.
"""

import argparse
import contextlib
import json
import random
import socket
import struct
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from serve_setting import (
    TEXTS,
    Asked,
    Running,
    command,
    draw_prompts,
    free_port,
    full_disk,
    running,
    write_bank,
)

from jaxprompt.config.settings import Model
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.startup import leave_out_absent_tpu

AT_ONCE = 16
"""Clients that disturb at the same time."""

MOST_MEMORY = 32.0
"""MiB that a process may grow by where nothing is lost: its allocator keeps some."""

_TOKENS, _LONG = 8, 200
"""Tokens of an answer that somebody waits for, and of one that nobody does: so many
that a fast model does not end it before its client goes.
"""

_SECONDS = 60.0


class Disturbed(NamedTuple):
    """A server that faults are tried on.

    Attributes:
        server: It.
        bank: Its folder of prompts.
        expected: Answers that it gave while nothing happened.
        forsaken: The prompt that clients ask who then vanish, and nobody else.
    """

    server: Running
    bank: Path
    expected: Mapping[Asked, str]
    forsaken: str


class Held(NamedTuple):
    """What a server holds.

    Attributes:
        slots: Answers that are written, or wait.
        files: Open files and connections.
        threads: Threads.
        memory: Of the process, in MiB.
    """

    slots: int
    files: int
    threads: int
    memory: float

    def beyond(self, before: "Held") -> "Held":
        """Returns what is held that was not held before."""
        return Held(
            max(self.slots - before.slots, 0),
            max(self.files - before.files, 0),
            max(self.threads - before.threads, 0),
            max(self.memory - before.memory, 0.0),
        )


class Tried(NamedTuple):
    """What a fault cost.

    Attributes:
        times: How often it happened.
        right: Answers meanwhile that were right.
        wrong: Answers meanwhile that were wrong, or none at all.
        in_vain: Answers that were written to their end for nobody.
        held: What is held beyond what was held before.
        problem: What else was not as it should be.
    """

    times: int
    right: int
    wrong: int
    in_vain: int
    held: Held
    problem: str = ""

    @property
    def cost(self) -> bool:
        """Whether anything was lost."""
        held = self.held
        left = max(held.slots, held.files, held.threads) > 0
        much = held.memory > MOST_MEMORY
        return bool(self.wrong or self.in_vain or left or much or self.problem)


Fault = Callable[[Disturbed, int, random.Random], None]
"""Happens so many times to a server; raises where that is not told as it should be."""


class Vanish:
    """Clients that send something and go away."""

    def __init__(self, what: Callable[[bytes, bytes], bytes], *, stream: bool = False):
        """Takes what is sent, made of a request's head and body."""
        self._what, self._stream = what, stream

    def __call__(self, one: Disturbed, times: int, draw: random.Random) -> None:
        """Sends, waits for a moment, and goes: politely, or with a reset, in turn."""
        pauses = [draw.choice((0.0, 0.0, 0.01, 0.03)) for _ in range(times)]

        def go(number: int) -> None:
            body = _body(one.forsaken, _LONG, stream=self._stream)
            sent = self._what(_head(body), body)
            with socket.create_connection(_address(one), timeout=_SECONDS) as client:
                client.sendall(sent)
                self.wait(client, pauses[number])
                if number % 2:
                    # Nothing is said when it closes: the other side is reset.
                    client.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(go, range(times)))

    def wait(self, client: socket.socket, pause: float) -> None:
        """Waits before it goes."""
        del client
        time.sleep(pause)


class VanishInStream(Vanish):
    """Clients that go away when they have read the first event."""

    def wait(self, client: socket.socket, pause: float) -> None:
        """Reads up to the first event, or what there is instead of one."""
        del pause
        found = b""
        while b"data: " not in found and b'"error"' not in found:
            part = client.recv(2**16)
            if not part:
                return
            found += part


def send_nonsense(one: Disturbed, times: int, draw: random.Random) -> None:
    """Sends what is no request; each is refused, or its connection is closed."""
    whole = _body(one.forsaken, _TOKENS)

    def go(content: bytes) -> None:
        told = b""
        # Who sends too much is cut off, and may read no answer.
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(_address(one), timeout=_SECONDS) as client,
        ):
            client.sendall(content)
            while part := client.recv(2**16):
                told += part
        status = told.split(b" ", 2)[1] if told.startswith(b"HTTP/1.1 ") else b"4"
        if not status.startswith(b"4") or b"Traceback" in told:
            raise RuntimeError(f"{content[:80]!r} was answered by {told[:80]!r}")

    contents = [_nonsense(whole, number, draw) for number in range(times)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(go, contents))


def damage_files(one: Disturbed, times: int, draw: random.Random) -> None:
    """Cuts and overwrites a prompt file while it is loaded; then it is whole again."""
    name = next(iter(one.expected)).prompt
    whole = (one.bank / f"{name}.safetensors").read_bytes()
    file = one.bank / "other.safetensors"
    asked = [Asked("other", x.text) for x in one.expected if x.prompt == name]
    for _ in range(times):
        file.write_bytes(whole)
        cut = draw.randrange(len(whole))
        delay = draw.random() * 0.01

        def damage(cut: int = cut, delay: float = delay) -> None:
            time.sleep(delay)
            with file.open("r+b") as written:
                written.truncate(cut)
            with file.open("r+b") as written:
                written.write(bytes(256))

        with ThreadPoolExecutor(1) as pool:
            damaged = pool.submit(damage)
            _load(one.server, "other")
            damaged.result()
    file.write_bytes(whole)
    if not _load(one.server, "other"):
        raise RuntimeError("a whole file was not loaded after a damaged one")
    for other in asked:
        if _ask(one.server, other) != one.expected[Asked(name, other.text)]:
            raise RuntimeError("a prompt that was damaged and restored answers wrongly")
    one.server.post("/v1/unload_prompt", prompt_name="other")
    file.unlink()


def follow_folder(one: Disturbed, times: int, draw: random.Random) -> None:
    """Puts a damaged file and then a whole one into the folder, which is watched.

    On a server whose log is on a full disk the first is told to nobody.
    """
    del draw
    name = next(iter(one.expected)).prompt
    whole = (one.bank / f"{name}.safetensors").read_bytes()
    file, damaged = one.bank / "late.safetensors", one.bank / "damaged.safetensors"
    for _ in range(times):
        try:
            damaged.write_bytes(b"damaged")
            time.sleep(1.5)  # It is looked at once a second.
            file.write_bytes(whole)
            _wait_for(lambda: "late" in one.server.get("/v1/info")["prompts"])
        finally:
            damaged.unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        _wait_for(lambda: "late" not in one.server.get("/v1/info")["prompts"])


VANISHED: Mapping[str, Fault] = {
    "gone before anything is sent": Vanish(lambda head, body: b""),
    "gone in the head": Vanish(lambda head, body: head[: len(head) // 2]),
    "gone before the body": Vanish(lambda head, body: head),
    "gone in the body": Vanish(lambda head, body: head + body[: len(body) // 2]),
    "gone while an answer waits or is written": Vanish(lambda head, body: head + body),
    "gone before the first event of a stream": Vanish(
        lambda head, body: head + body, stream=True
    ),
    "gone in a stream": VanishInStream(lambda head, body: head + body, stream=True),
}
"""Clients that vanish, by how far they came."""

FAULTS: Mapping[str, Fault] = {
    **VANISHED,
    "no JSON, no HTTP, or no such request": send_nonsense,
    "a prompt file is cut and overwritten while it is loaded": damage_files,
}
"""All that is tried on a server."""

FULL = "its log lies on a full disk, and files come and go"
"""What is tried on another one."""


def disturbed(server: Running, bank: Path) -> Disturbed:
    """Asks each prompt but the last, while nothing happens."""
    *names, last = sorted(path.stem for path in bank.glob("*.safetensors"))
    asked = [Asked(name, text) for name in names[:8] for text in TEXTS[:2]]
    expected = {one: _ask(server, one) for one in asked}
    return Disturbed(server, bank, expected, last)


def attempt(fault: Fault, one: Disturbed, times: int, seed: int = 0) -> Tried:
    """Tries a fault while others ask, and says what it cost."""
    draw, problem = random.Random(seed), ""
    if times > AT_ONCE:
        # What is kept from the first time on, as an allocator's pages, is no loss.
        problem = _problem_of(fault, one, AT_ONCE, draw)
    before, vain = _settled(one.server, None), _written_in_vain(one)
    told = len(one.server.log)
    others = [_Asking(one) for _ in range(2)]
    for other in others:
        other.start()
    problem = _problem_of(fault, one, times, draw) or problem
    for other in others:
        other.stop()
    after = _settled(one.server, before)
    if any("Traceback" in line for line in one.server.log[told:]):
        problem = problem or "a traceback in its log"
    return Tried(
        times,
        sum(other.right for other in others),
        sum(other.wrong for other in others),
        _written_in_vain(one) - vain,
        after.beyond(before),
        problem,
    )


def _problem_of(fault: Fault, one: Disturbed, times: int, draw: random.Random) -> str:
    try:
        fault(one, times, draw)
    except Exception as error:  # It is told in the table.
        return f"{type(error).__name__}: {error}"
    return ""


def held(server: Running) -> Held:
    """Measures what a server holds."""
    process = Path("/proc") / str(server.pid)
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines()
    )
    slots = sum(
        server.counted(f"num_requests_{what}") for what in ("running", "waiting")
    )
    return Held(
        int(slots),
        len(list((process / "fd").iterdir())),
        int(status["Threads"]),
        int(status["VmRSS"].split()[0]) / 1024,
    )


HEADER = (
    "| what happened | times | right answers meanwhile | wrong or none | "
    "written for nobody | slots | files | threads | MiB |\n"
    "| --- |" + " ---: |" * 8
)
"""Of `row`: the last four say what is held that was not held before."""


def row(name: str, one: Tried) -> str:
    """Returns a line of the table, and below it what was wrong besides."""
    held, problem = one.held, f"\n\n{name}: {one.problem}\n" if one.problem else ""
    return (
        f"| {name} | {one.times} | {one.right} | {one.wrong} | {one.in_vain} | "
        f"{held.slots} | {held.files} | {held.threads} | {held.memory:.1f} |{problem}"
    )


class _Asking(threading.Thread):
    """A client that asks for what it knows, one answer after the other."""

    def __init__(self, one: Disturbed):
        super().__init__(daemon=True)
        self._one, self._stop_asking = one, threading.Event()
        self.right = self.wrong = 0

    def run(self) -> None:
        while not self._stop_asking.is_set():
            for asked, expected in self._one.expected.items():
                try:
                    found = _ask(self._one.server, asked)
                except OSError:
                    found = None
                self.right += found == expected
                self.wrong += found != expected
                if self._stop_asking.is_set():
                    return

    def stop(self) -> None:
        """Ends with the answer that is asked for."""
        self._stop_asking.set()
        self.join()


def _ask(server: Running, asked: Asked) -> str:
    body = json.loads(_body(asked.prompt, _TOKENS, asked.text))
    (choice,) = server.post("/v1/completions", **body)["choices"]
    return choice["text"]


def _load(server: Running, name: str) -> bool:
    """Loads a prompt; returns whether that was done, and raises where it broke."""
    try:
        server.post("/v1/load_prompt", prompt_name=name)
    except urllib.error.HTTPError as error:
        if error.code not in (400, 404):
            raise
        return False
    return True


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("the folder is no longer followed")
        time.sleep(0.1)


def _settled(server: Running, before: Held | None) -> Held:
    """Waits until nothing is asked, and what is closed is closed."""
    end, files = time.monotonic() + 30, None
    while True:
        found = held(server)
        quiet = found.files == files if before is None else found.files <= before.files
        if (found.slots == 0 and quiet) or time.monotonic() > end:
            return found
        files = found.files
        time.sleep(0.2)


def _written_in_vain(one: Disturbed) -> int:
    """Counts answers of the forsaken prompt that were written to their last token."""
    labels = {"prompt": one.forsaken, "finished_reason": "length"}
    return int(one.server.counted("request_success_total", **labels))


def _address(one: Disturbed) -> tuple[str, int]:
    host, port = one.server.url.removeprefix("http://").split(":")
    return host, int(port)


def _body(
    prompt: str, tokens: int, text: str = TEXTS[0], *, stream: bool = False
) -> bytes:
    asked: dict[str, Any] = {"model": prompt, "prompt": text, "max_tokens": tokens}
    return json.dumps({**asked, "stream": stream}).encode()


def _head(body: bytes, path: str = "/v1/completions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def _nonsense(whole: bytes, number: int, draw: random.Random) -> bytes:
    """Makes bytes that are no request, of another kind for each number."""
    bodies = (
        draw.randbytes(draw.randrange(1, 400)),
        whole[: draw.randrange(1, len(whole))],
        b"[" * 50_000,
        whole[:-1] + b', "max_tokens": 1}',
        whole.replace(b"8", b"1e999"),
        whole.replace(b"8", b"NaN"),
        whole.replace(b'"prompt"', b'"promt"'),
        b'{"model": "\xff"}',
        b" " * (2**20 + 1),
        b"",
    )
    kinds = len(bodies) + 3
    kind = number % kinds
    if kind < len(bodies):
        return _head(bodies[kind]) + bodies[kind]
    return (
        b"GET\x00 / HTTP/1.1\r\n\r\n",
        _head(whole).replace(b"Length: ", b"Length: -") + whole,
        _head(whole, "/v1/" + "nothing" * 9) + whole,
    )[kind - len(bodies)]


def main() -> int:
    """Tries all; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--times", type=int, default=200, help="of each fault")
    parser.add_argument("--only", default="", help="part of a fault's name")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    tried: list[Tried] = []

    def tell(name: str, found: Tried) -> None:
        tried.append(found)
        print(row(name, found), flush=True)

    leave_out_absent_tpu()
    print(HEADER)
    with tempfile.TemporaryDirectory() as name:
        bank = Path(name) / "bank"
        bank.mkdir()
        backbone = open_model(Model(name=flags.model)).backbone
        prompts = draw_prompts(backbone, 6)
        write_bank(bank, flags.model, backbone, prompts, _TOKENS)
        words = command(flags.model, bank, "--slot_tokens=512", "--max_tokens=400")
        with running(words) as server:
            one = disturbed(server, bank)
            for fault, function in FAULTS.items():
                if flags.only in fault:
                    tell(fault, attempt(function, one, flags.times, flags.seed))
        if flags.only in FULL:
            port, folder = free_port(), Path(name)
            with (
                full_disk(folder) as log,
                running([*words, f"--port={port}"], port=port, log=log) as server,
            ):
                one = disturbed(server, bank)
                tell(FULL, attempt(follow_folder, one, 3, flags.seed))
    return int(any(found.cost for found in tried))


if __name__ == "__main__":
    raise SystemExit(main())
