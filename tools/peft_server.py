"""PEFT behind HTTP as its users write it: one model, a lock, an adapter a request.

    python tools/peft_server.py --model=FOLDER --adapters=FOLDER

`bench_serve.py --peft` starts it. Every folder in --adapters is an adapter, asked by
its name with OpenAI's completions.
"""

import argparse
import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import torch
import uvicorn
from peft import PeftModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()


class Adapters:
    """One model with many adapters, of which one answers at a time."""

    def __init__(self, folder: Path, adapters: list[Path]):
        """Loads all of them."""
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        first, *others = adapters
        self._model = PeftModel.from_pretrained(base, first, adapter_name=first.name)
        for other in others:
            self._model.load_adapter(other, adapter_name=other.name)
        self._model.eval()
        self._lock = threading.Lock()

    def answer(self, name: str, text: str, tokens: int) -> str:
        """Writes the likeliest tokens behind an adapter and a text."""
        asked = self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        with self._lock, torch.inference_mode():
            self._model.set_adapter(name)
            found = self._model.generate(
                **asked, max_new_tokens=tokens, do_sample=False, pad_token_id=0
            )
        written = found[0, asked["input_ids"].shape[1] :]
        return self._tokenizer.decode(written, skip_special_tokens=True)


def make_app(adapters: Adapters) -> Starlette:
    """Makes the application of the one route."""

    async def completions(request: Request) -> JSONResponse:
        body: dict[str, Any] = await request.json()
        arguments = (body["model"], body["prompt"], body["max_tokens"])
        text = await asyncio.to_thread(adapters.answer, *arguments)
        return JSONResponse(
            {
                "id": "",
                "object": "text_completion",
                "created": 0,
                "model": body["model"],
                "choices": [{"index": 0, "text": text, "finish_reason": "stop"}],
            }
        )

    return Starlette(routes=[Route("/v1/completions", completions, methods=["POST"])])


def main() -> None:
    """Serves until it is stopped, and says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapters", type=Path, required=True)
    flags = parser.parse_args()
    adapters = Adapters(flags.model, sorted(flags.adapters.iterdir()))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listening.getsockname()[1]
    print(f"ready on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
    app = make_app(adapters)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
