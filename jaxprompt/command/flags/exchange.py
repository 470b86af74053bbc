"""The flags of the commands that exchange prompts: with other programs, and the Hub."""

import argparse
from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.flags.shared import (
    add_another_backbone,
    add_gin,
    add_overwrite,
    new_command,
)


def add_exchange(subparsers: Any) -> None:
    """Adds import, export, push and pull to the parser of all commands."""
    _add_import(subparsers)
    _add_export(subparsers)
    _add_push(subparsers)
    _add_pull(subparsers)


_FORMS = (
    "google: a .npy of google-research/prompt-tuning (the default); t5x: its "
    "checkpoint; peft: a folder of Hugging Face PEFT; tensorrt_llm: a prompt "
    "table; vllm: prompt embeddings; llama_cpp: its raw embeddings; cartridge: "
    "keys and values of each layer, by name"
)
_WHOLE = (
    "; stablehlo: the whole prompted model, which runs without jaxprompt; "
    "peft_prefix: PEFT's prefix tuning, of a deep prompt or of what a decoder-only "
    "model makes of soft tokens"
)


def _add_import(subparsers: Any) -> None:
    text = "Take a prompt from another program."
    take = new_command(subparsers, "import", text, commands.import_prompt)
    take.add_argument(
        "source", metavar="FILE", help="the other program's file or folder"
    )
    take.add_argument(
        "--backbone",
        default="",
        help="Hub name or folder of the prompt's model, unless the source says",
    )
    take.add_argument(
        "--task",
        default="",
        help="name of the prompt's task, if known; of several, with commas between",
    )
    take.add_argument(
        "--row",
        type=int,
        metavar="N",
        help="take prompt N, from 0, of a file of several",
    )
    _add_form(take, _FORMS)


def _add_export(subparsers: Any) -> None:
    text = "Give a prompt to another program, or the prompted model to any."
    give = new_command(subparsers, "export", text, commands.export)
    give.add_argument(
        "source",
        nargs="+",
        metavar="FILE",
        help="a prompt.safetensors; for tensorrt_llm several, or a folder of them",
    )
    give.add_argument(
        "--dtype", default="", help="float32 (the default), bfloat16 or float16"
    )
    give.add_argument(
        "--backbone",
        default="",
        help="peft: Hub name or folder to name as the base model; t5x: the checkpoint "
        "to put the prompt into",
    )
    add_gin(give)
    add_another_backbone(give, only="stablehlo, peft_prefix, cartridge: ")
    _add_form(give, _FORMS + _WHOLE)


def _add_form(command: argparse.ArgumentParser, known: str) -> None:
    command.add_argument("--format", default="google", help=known)
    command.add_argument(
        "--output",
        required=True,
        metavar="FILE",
        help="the file, or the folder, to write",
    )
    add_overwrite(command)


def _add_push(subparsers: Any) -> None:
    text = "Share a prompt, or those of a bank, on the Hugging Face Hub."
    push = new_command(subparsers, "push", text, commands.push)
    push.add_argument(
        "--prompt",
        required=True,
        metavar="FILE",
        help="a prompt.safetensors, or the folder of a run or of a bank's prompts",
    )
    push.add_argument(
        "--repo", required=True, metavar="NAME/REPO", help="where to; made if need be"
    )
    push.add_argument(
        "--private",
        action="store_true",
        help="make a repository that others cannot see",
    )
    push.add_argument(
        "--revision", metavar="BRANCH", help="branch to commit to, instead of main"
    )
    push.add_argument(
        "--overwrite",
        action="store_true",
        help="replace another prompt that the repository holds",
    )


def _add_pull(subparsers: Any) -> None:
    text = "Fetch a prompt, or a bank's, from the Hugging Face Hub."
    pull = new_command(subparsers, "pull", text, commands.pull)
    pull.add_argument("repo", metavar="NAME/REPO", help="where from")
    pull.add_argument("--revision", help="branch, tag or commit, instead of main")
    pull.add_argument(
        "--output", required=True, metavar="DIR", help="the folder to write"
    )
    add_overwrite(pull)
