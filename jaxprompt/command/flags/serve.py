"""The flags of the server."""

from typing import Any

from jaxprompt.command.flags.shared import add_another_backbone, new_command
from jaxprompt.command.serve import serve


def add_serve(subparsers: Any) -> None:
    """Adds serve to the parser of all commands."""
    text = "Answer by HTTP behind many prompts, with one model in memory."
    command = new_command(subparsers, "serve", text, serve)
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
    add_another_backbone(command, "a prompt was")
    add(
        "--batch_invariant",
        action="store_true",
        help="round a decoder's numbers alike whoever shares a step, to the bit: every "
        "step then costs what one of all slots does",
    )
