"""The command `serve`: loads a model and prompts, and answers until it is stopped."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import jax
import uvicorn

from jaxprompt.config.settings import Model
from jaxprompt.data.vocabulary.chat import read_chat_template
from jaxprompt.models.backbone import Writer
from jaxprompt.prompts import soft_ids
from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs.ready.frozen import Frozen, open_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.interrupts import Interrupted
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.terminal import say
from jaxprompt.serve.bank import ENDING, Bank, Way, open_prompt
from jaxprompt.serve.http.app import make_app
from jaxprompt.serve.http.late_headers import closing_late_headers
from jaxprompt.serve.http.served import Limits, Served
from jaxprompt.serve.slots.batch_engine import BatchEngine
from jaxprompt.serve.slots.engine import SHORTEST, Engine, NoEngine
from jaxprompt.serve.slots.label_engine import LabelEngine
from jaxprompt.serve.slots.metrics import Metrics
from jaxprompt.serve.slots.scheduler import Scheduler
from jaxprompt.serve.slots.slot_engine import SlotEngine
from jaxprompt.serve.texts import AsItIs
from jaxprompt.sharding import make_mesh

KEY, ADMIN_KEY = "JAXPROMPT_KEY", "JAXPROMPT_ADMIN_KEY"
"""Where keys stand in the environment, if no file is named."""

_PIECE, _CPU_PIECE = 512, 64
"""Tokens of a text that a decoder reads at once: as many as others may wait for."""

_WATCHED_EVERY = 1.0
"""Seconds between two looks at the folder of prompts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serving:
    """How a model is served.

    Attributes:
        host: Address to listen at.
        port: Its port; 0 for any that is free.
        slots: Answers that are written at once.
        slot_tokens: Tokens of prompt, text and answer together.
        queue: Answers that may wait for a slot.
        limits: What a request may ask for.
        key_file: File with the clients' key; None for the environment's, or none.
        admin_key_file: The same of who loads and unloads prompts.
        another_backbone: Allows prompts of another model.
        batch_invariant: Rounds an answer's numbers alike whoever shares its steps; see
            `SlotEngine`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    slots: int = 8
    slot_tokens: int = 1024
    queue: int = 64
    limits: Limits = dataclasses.field(default_factory=Limits)
    key_file: Path | None = None
    admin_key_file: Path | None = None
    another_backbone: bool = False
    batch_invariant: bool = False

    def __post_init__(self) -> None:
        least = {
            "slots": (self.slots, 1),
            "slot_tokens": (self.slot_tokens, 2 * SHORTEST),
            "queue": (self.queue, 0),
            "max_tokens": (self.limits.tokens, 1),
            "deadline": (self.limits.seconds, 1),
            "port": (self.port, 0),
        }
        for name, (value, low) in least.items():
            if value < low:
                raise ValueError(f"--{name}={value}: use {low} or more")
        if self.port >= 2**16:
            raise ValueError(f"--port={self.port}: use one below {2**16}")


def serve(
    settings: Model,
    prompts: Mapping[str, Path],
    folder: Path | None,
    serving: Serving,
) -> None:
    """Serves until SIGTERM or SIGINT; then what has begun is answered to its end.

    Args:
        settings: Which model, and how it is loaded.
        prompts: Prompt files by name.
        folder: A folder of prompt files, each by its name; it is watched. None for
            none.
        serving: How they are served.

    Raises:
        ValueError: If anything does not fit, before any device work.
        OSError: If a file is missing, or the address is in use.
    """
    key = _read_key(serving.key_file, KEY)
    admin_key = _read_key(serving.admin_key_file, ADMIN_KEY)
    model = open_model(settings)
    name = _model_name(settings.name or model.backbone.name)
    named = [load_prompt(file)[1] for file in prompts.values()]
    check_prompts(named, model.backbone, another_backbone=serving.another_backbone)
    # Bound first: an address that is in use is told before anything takes long.
    with (
        listen(serving.host, serving.port) as listening,
        # Answers do not wait while a prompt is read, or programs for it are compiled.
        concurrent.futures.ThreadPoolExecutor(1, "loader") as loader,
    ):
        frozen = model.load(make_mesh())
        served = _load(frozen, name, prompts, folder, serving, loader)
        served = dataclasses.replace(served, key=key, admin_key=admin_key)
        loader.submit(int).result()  # Its thread is there from the start.
        served.scheduler.start()
        # The command's own way to stop is an exception; uvicorn's lets answers end.
        with contextlib.suppress(Interrupted):
            asyncio.run(_answer(served, listening))
        served.scheduler.close()
        served.scheduler.join(timeout=10)
        if served.scheduler.failure is not None:
            raise served.scheduler.failure


def _load(
    frozen: Frozen,
    name: str,
    prompts: Mapping[str, Path],
    folder: Path | None,
    serving: Serving,
    loader: concurrent.futures.Executor,
) -> Served:
    """Makes all that answers, and loads the prompts that are there; says which."""
    files = [*prompts.values(), *([] if folder is None else folder.glob(f"*{ENDING}"))]
    room = max([0, *(_room_of(file, frozen) for file in files)])
    engine = _engine_of(frozen, serving, room)
    labels = LabelEngine(
        frozen.backbone,
        frozen.model,
        typed=frozen.vocabulary.separator is not None,
        rows=serving.slots,
    )
    bank = Bank(
        frozen.backbone,
        frozen.vocabulary,
        engine.read,
        labels,
        lambda run, task: Job(frozen, run, (task,)).chooser,
        folder=folder,
        files=prompts,
        model_name=name,
        another_backbone=serving.another_backbone,
    )
    for named in bank.load_files():
        _tell(f"loaded {named.told}")
    for line in bank.refresh():
        _tell(line)
    bare = bare_chat = None
    if isinstance(frozen.backbone, Writer):
        nothing = soft_ids.prefix(0, 0)
        layout = AsItIs(frozen.vocabulary, nothing)
        bare = Way(layout, engine.read(None, layout.lead))
        bare_chat = Way(AsItIs(frozen.vocabulary.without_bos(), nothing), bare.ready)
    place, metrics = frozen.vocabulary.place, Metrics(frozen.backbone.name)
    return Served(
        model=name,
        fingerprint=frozen.backbone.fingerprint,
        vocabulary=frozen.vocabulary,
        table=frozen.backbone.table(frozen.model),
        template=None if place is None else read_chat_template(place),
        engine=engine,
        bare=bare,
        bare_chat=bare_chat,
        labels=labels,
        bank=bank,
        scheduler=Scheduler(engine, labels, metrics, queue=serving.queue),
        loader=loader,
        metrics=metrics,
        limits=serving.limits,
    )


def _engine_of(frozen: Frozen, serving: Serving, prompt_room: int) -> Engine:
    sizes = {
        "slots": serving.slots,
        "capacity": serving.slot_tokens,
        # A longer one is refused where it is loaded.
        "prompt_room": min(prompt_room, serving.slot_tokens),
    }
    if not isinstance(frozen.backbone, Writer):
        return NoEngine(frozen.backbone.name)
    if frozen.backbone.causal:
        piece = _CPU_PIECE if jax.default_backend() == "cpu" else _PIECE
        return SlotEngine(
            frozen.backbone,
            frozen.model,
            **sizes,
            piece=piece,
            batch_invariant=serving.batch_invariant,
        )
    most = serving.limits.tokens
    return BatchEngine(frozen.backbone, frozen.model, **sizes, answer=most)


async def _answer(served: Served, listening: socket.socket) -> None:
    config = uvicorn.Config(
        make_app(served),
        http=closing_late_headers(served.limits.seconds),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(served.limits.seconds) + 1,
    )
    server = uvicorn.Server(config)
    watching = asyncio.create_task(_watch(served, server, listening))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _watch(
    served: Served, server: uvicorn.Server, listening: socket.socket
) -> None:
    """Says when the server is ready, then follows the folder of prompts."""
    scheduler, loop = served.scheduler, asyncio.get_running_loop()
    while not (scheduler.is_ready.is_set() and server.started):
        if scheduler.failure is not None:
            server.should_exit = True
            return
        await asyncio.sleep(0.02)
    host, port = listening.getsockname()[:2]
    for line in ready_lines(host, port, len(served.bank.prompts), served.key):
        _tell(line)
    while True:
        await asyncio.sleep(_WATCHED_EVERY)
        try:
            lines = await loop.run_in_executor(served.loader, served.bank.refresh)
        except Exception as error:  # The folder is looked at again.
            lines = [f"the folder of prompts was not read: {error}"]
        for line in lines:
            _tell(line)
        if scheduler.failure is not None:
            server.should_exit = True
            return


def ready_lines(host: str, port: int, prompts: int, key: str | None) -> list[str]:
    """Says where the server can be asked, and by whom if that is everybody.

    Args:
        host: The address that it listens at, in numbers.
        port: The port.
        prompts: How many there are.
        key: Of clients; None for none.
    """
    where = f"[{host}]" if ":" in host else host
    lines = [f"ready on http://{where}:{port} with {prompts} prompts"]
    if key is None and not ipaddress.ip_address(host).is_loopback:
        lines.append(
            f"no key: whoever reaches {where}:{port} is answered; set {KEY} or "
            "--key_file for clients that are known"
        )
    return lines


def _tell(line: str) -> None:
    """Logs a line."""
    say(f"jaxprompt: {line}", problem=True)


def _room_of(file: Path, frozen: Frozen) -> int:
    try:
        return open_prompt(file, frozen.backbone, frozen.vocabulary).room
    except (ValueError, OSError):
        return 0  # It is told where it is loaded.


def _model_name(name: str) -> str:
    """Returns what a model is asked by: its name on the Hub, or its file's name."""
    return Path(name).resolve().name if os.path.exists(name) else name


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at an address.

    Raises:
        OSError: If that cannot be.
    """
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        # What is accepted inherits it; asyncio sets it on sockets that name TCP alone.
        # Without it the end of an answer waits 40 ms until its beginning is confirmed.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise OSError(
            f"cannot listen at {host}:{port}: {error.strerror or error}: take another "
            "--port, or --host"
        ) from error


def _read_key(file: Path | None, variable: str) -> str | None:
    """Reads a key, never from the command line, which every user of a machine sees."""
    if file is None:
        key = os.environ.get(variable)
        if key == "":  # As of another variable that is not set.
            raise ValueError(
                f"{variable} is empty, which is no key: set one, or unset it for a "
                "server that asks for none"
            )
        return key
    key = file.read_text(encoding="utf-8").strip()
    if not key:
        raise ValueError(f"{quoted_path(file)} holds no key: write one into it")
    return key
