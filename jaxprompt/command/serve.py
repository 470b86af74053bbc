"""The command `serve`: its flags, and what they start."""

import argparse
from pathlib import Path
from typing import Any


def add_serve(subparsers: Any) -> None:
    """Adds the command to the parser of all."""
    text = "Answer by HTTP behind many prompts, with one model in memory."
    command = subparsers.add_parser("serve", help=text, description=text)
    command.set_defaults(command=serve)
    add = command.add_argument
    add("--model", required=True, metavar="NAME", help="Hub name, folder or GGUF file")
    add(
        "--prompts",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=FILE",
        help="prompt files, and by which names they are asked",
    )
    add(
        "--bank",
        metavar="DIR",
        help="folder of NAME.safetensors; it is watched: new files, changed ones "
        "and removed ones count at once",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: %(default)s)",
    )
    add(
        "--port", type=int, default=8000, help="0 for a free one (default: %(default)s)"
    )
    numbers = {
        "slots": (8, "answers that are written at once"),
        "slot_tokens": (1024, "room for prompt, text and answer together"),
        "max_tokens": (256, "tokens of an answer"),
        "queue": (64, "answers that may wait for a slot; then requests get 429"),
        "deadline": (120, "seconds from a request to the end of its answers"),
    }
    for name, (default, what) in numbers.items():
        what += " (default: %(default)s)"
        add(f"--{name}", type=int, default=default, metavar="N", help=what)
    add("--dtype", default="float32", help="float32 or bfloat16 (default: %(default)s)")
    add("--quantise", default="none", help="int8 or none (default: %(default)s)")
    add("--revision", help="commit, tag or branch on the Hub")
    add("--vocabulary", metavar="FILE", help="instead of the one beside the model")
    for name, whom in (("key", "clients"), ("admin_key", "who loads prompts")):
        add(
            f"--{name}_file",
            metavar="FILE",
            help=f"holds the key of {whom}, instead of JAXPROMPT_{name.upper()} in the "
            "environment",
        )
    add(
        "--another_backbone",
        action="store_true",
        help="allow a model that a prompt was not trained on",
    )


def serve(flags: argparse.Namespace) -> None:
    """Serves until it is stopped.

    Raises:
        NotInstalled: If the extra is not there.
    """
    from jaxprompt.config.settings import Model
    from jaxprompt.serve.names import read_folder, read_named
    from jaxprompt.startup import NotInstalled

    prompts, folder = read_named(flags.prompts), read_folder(flags.bank)
    try:
        from jaxprompt.serve.http.served import Limits
        from jaxprompt.serve.server import Serving
        from jaxprompt.serve.server import serve as run
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"serve needs {error.name}: pip install 'jaxprompt[serve]'"
        ) from error
    settings = Model(
        name=flags.model,
        revision=flags.revision,
        vocabulary=flags.vocabulary,
        dtype=flags.dtype,
        quantise=flags.quantise,
    )
    run(
        settings,
        prompts,
        folder,
        Serving(
            host=flags.host,
            port=flags.port,
            slots=flags.slots,
            slot_tokens=flags.slot_tokens,
            queue=flags.queue,
            limits=Limits(tokens=flags.max_tokens, seconds=flags.deadline),
            key_file=None if flags.key_file is None else Path(flags.key_file),
            admin_key_file=(
                None if flags.admin_key_file is None else Path(flags.admin_key_file)
            ),
            another_backbone=flags.another_backbone,
        ),
    )
