"""The flags of the commands about transfer, and which command they start."""

from typing import Any

from jaxprompt.command import transfer
from jaxprompt.command.flags.shared import (
    add_another_backbone,
    add_gin,
    add_json_output,
    add_overwrite,
    new_command,
)


def add_transfer(subparsers: Any) -> None:
    """Adds transfer, nearest, average and mix to the parser of all commands."""
    text = "Ask which prompt helps which task, and what predicts it."
    parser = subparsers.add_parser("transfer", help=text, description=text)
    topics = parser.add_subparsers(required=True, metavar="TOPIC")
    _add_matrix(topics)
    _add_start(topics)
    _add_neurons(topics)
    _add_project(topics)
    _add_similarity(topics)
    _add_index(topics)
    _add_rows(topics)
    _add_nearest(subparsers)
    _add_mixes(subparsers)


def _add_matrix(topics: Any) -> None:
    text = "Score every prompt on every task."
    command = new_command(topics, "matrix", text, transfer.matrix)
    add_gin(command)
    command.add_argument(
        "prompt",
        nargs="+",
        metavar="PROMPT",
        help="a prompt.safetensors, a folder of them, or a sweep: its task is scored",
    )
    command.add_argument(
        "--tasks",
        nargs="+",
        default=[],
        metavar="FILE",
        help="gin files of further tasks, as gin/tasks/sst2.gin",
    )
    command.add_argument("--split", help="split to score, instead of each validation")
    command.add_argument(
        "--without_random",
        action="store_true",
        help="leave out the column of a prompt that was never trained",
    )
    add_another_backbone(command, "the prompts were")
    command.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder of the matrix; what it holds already is not scored again",
    )


def _add_start(topics: Any) -> None:
    text = "Compare runs that start from other tasks' prompts with a fresh start."
    command = new_command(topics, "start", text, transfer.start)
    command.add_argument("fresh", metavar="DIR", help="folder of the fresh run")
    command.add_argument(
        "others",
        nargs="+",
        metavar="DIR",
        help="folders of runs of the same task that started from other prompts",
    )
    command.add_argument(
        "--epsilon",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="a run has converged at its first evaluation within these points of its "
        "best (default: %(default)s)",
    )
    command.add_argument(
        "--output", metavar="FILE", help="also write it as JSON, and a .png beside it"
    )
    add_overwrite(command)


def _add_similarity(topics: Any) -> None:
    text = "Compare prompts by every similarity, and say how well each predicts."
    command = new_command(topics, "similarity", text, transfer.similarity)
    add_gin(command)
    command.add_argument(
        "prompt",
        nargs="+",
        metavar="PROMPT",
        help="a prompt.safetensors, a folder of them, or an .npz of arrays [P, D]",
    )
    command.add_argument(
        "--rows",
        default=":",
        metavar="SLICE",
        help="which soft tokens count, as 1: for all but the first, which some models "
        "never read (default: all)",
    )
    command.add_argument(
        "--scores",
        metavar="FILE",
        help="a .csv of scores, prompts across and tasks down: also print Spearman's "
        "correlation of each similarity with relative transfer",
    )
    command.add_argument(
        "--neurons",
        action="store_true",
        help="also measure how far the neurons that prompts switch on are the same: "
        "reads their model",
    )
    add_another_backbone(command, "the prompts were")
    command.add_argument(
        "--expected",
        metavar="FILE",
        help="an output of this command, or a part of it: print it beside what is "
        "found now",
    )
    add_json_output(command, "all of it")


def _add_neurons(topics: Any) -> None:
    text = "Switch off the neurons that a prompt switches on most, and score it again."
    command = new_command(topics, "neurons", text, transfer.neurons)
    add_gin(command)
    command.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    command.add_argument(
        "--share",
        type=float,
        default=0.2,
        help="share of all neurons to switch off (default: %(default)s)",
    )
    command.add_argument("--split", help="split to score, instead of its validation")
    add_another_backbone(command)
    add_json_output(command, "it")


def _add_project(topics: Any) -> None:
    text = "Map prompts of one model to prompts of another."
    command = new_command(topics, "project", text, transfer.project)
    add_gin(command)
    command.add_argument(
        "prompt",
        nargs="+",
        metavar="PROMPT",
        help="prompt files of the first model, or folders of them",
    )
    command.add_argument(
        "--to", required=True, metavar="MODEL", help="the other model's name or folder"
    )
    command.add_argument(
        "--tasks",
        nargs="+",
        default=[],
        metavar="FILE",
        help="gin files of the prompts' tasks as the other model is asked, such as "
        "gin/tasks/words/sst2.gin; without them it is asked as the first one was",
    )
    command.add_argument(
        "--by",
        default="linear",
        help="linear or relative, from words that both models know; per_token, layer "
        "or flat, a network that is trained (default: %(default)s)",
    )
    command.add_argument(
        "--towards",
        nargs="+",
        default=[],
        metavar="PROMPT",
        help="prompts of the other model: a network is trained on the distance to "
        "those of the same tasks; without them, on the tasks themselves",
    )
    command.add_argument(
        "--train_on",
        nargs="+",
        default=[],
        metavar="TASK",
        help="tasks of the prompts that a network is trained on; the others are only "
        "mapped (default: all)",
    )
    command.add_argument("--steps", type=int, default=500, metavar="N")
    command.add_argument("--learning_rate", type=float, default=5e-3, metavar="RATE")
    command.add_argument("--hidden_width", type=int, default=768, metavar="H")
    command.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the mapped prompts"
    )
    add_overwrite(command)


def _add_index(topics: Any) -> None:
    text = "Write the index of a bank: its prompts, and where each comes from."
    command = new_command(topics, "index", text, transfer.index)
    command.add_argument(
        "prompt",
        nargs="+",
        metavar="PROMPT",
        help="a prompt.safetensors, or a folder of them",
    )
    command.add_argument(
        "--output", required=True, metavar="FILE", help="the index, as bank.json"
    )
    add_overwrite(command)


def _add_rows(topics: Any) -> None:
    text = "Read a published data set, and write its rows as JSON lines."
    command = new_command(topics, "rows", text, transfer.rows)
    command.add_argument(
        "name", metavar="NAME", help="of the data set, as imdb, snli, samsum"
    )
    command.add_argument("folder", metavar="FOLDER", help="of its released files")
    command.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder to make, of a .jsonl for each split",
    )
    add_overwrite(command)


def _add_nearest(subparsers: Any) -> None:
    text = "Rank the prompts of a bank by their similarity to one."
    command = new_command(subparsers, "nearest", text, transfer.nearest)
    command.add_argument("source", metavar="PROMPT", help="a prompt.safetensors")
    command.add_argument(
        "bank",
        nargs="+",
        metavar="BANK",
        help="prompt files, folders of them, .npz archives or a bank's index",
    )
    command.add_argument(
        "--by", default="C_meanpool", help="similarity (default: %(default)s)"
    )
    command.add_argument(
        "--rows", default=":", metavar="SLICE", help="which soft tokens count, as 1:"
    )
    command.add_argument(
        "--write", metavar="FILE", help="also write a prompt to start training from"
    )
    command.add_argument(
        "--start",
        default="best",
        help="what it is: the best, the mean of the nearest, or their weighted mean "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--top",
        type=int,
        default=3,
        metavar="K",
        help="how many of the nearest a mean takes (default: %(default)s)",
    )
    add_json_output(command, "ranks")


def _add_mixes(subparsers: Any) -> None:
    text = "Write the average of prompts."
    average = new_command(subparsers, "average", text, transfer.mix, weights=None)
    text = "Write the weighted sum of prompts."
    mix = new_command(subparsers, "mix", text, transfer.mix)
    mix.add_argument(
        "--weights",
        required=True,
        metavar="W,W",
        help="one for each prompt, with commas between, as 0.7,0.3",
    )
    for command in (average, mix):
        command.add_argument(
            "prompt",
            nargs="+",
            metavar="PROMPT",
            help="prompt files, folders of them, or a bank's index",
        )
        command.add_argument(
            "--output", required=True, metavar="FILE", help="the prompt file to write"
        )
        add_overwrite(command)
