"""The flags of the command line, and which command they start."""

import argparse
from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.completion import SHELLS
from jaxprompt.command.listing import KINDS
from jaxprompt.command.parser import Parser, Version
from jaxprompt.command.serve import add_serve
from jaxprompt.command.transfer_flags import add_transfer


def make_parser() -> Parser:
    """Makes the parser of all commands."""
    parser = Parser(
        prog="jaxprompt",
        description="Teach a frozen language model a new task by learning a handful of "
        "vectors.",
    )
    parser.add_argument(
        "--version", action=Version, nargs=0, help="print the version, and JAX's"
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, command: object) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        _add_gin(sub)
        return sub

    text = "Train a prompt, a model or a vocabulary, or resume its training."
    train = add("train", text, commands.train)
    train.add_argument(
        "--workdir", required=True, metavar="DIR", help="folder of the run"
    )

    text = "Show a few rows as the model will read them, before anything trains."
    show = add("show", text, commands.show)
    show.add_argument(
        "--rows", type=int, default=3, metavar="N", help="rows of each task"
    )

    evaluate = add("evaluate", "Score a prompt file on its task.", commands.evaluate)
    evaluate.add_argument("--split", help="split to score, instead of its validation")
    evaluate.add_argument(
        "--output", metavar="FILE", help="also write the scores, as JSON"
    )
    evaluate.add_argument(
        "--predictions", metavar="FILE", help="also write every answer, as JSON lines"
    )
    evaluate.add_argument(
        "--mistakes",
        type=int,
        default=0,
        metavar="N",
        help="also print the N worst mistakes, the least likely true answer first",
    )

    predict = add("predict", "Answer rows with a prompt file.", commands.predict)
    _add_rows(predict)

    inspect = add(
        "inspect",
        "Show where a prompt comes from and what it is near.",
        commands.inspect,
    )
    inspect.add_argument(
        "--neighbours",
        type=int,
        default=5,
        metavar="K",
        help="words for each soft token",
    )

    evaluate.add_argument(
        "--prompt",
        required=True,
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; with --ensemble several, or a folder of them",
    )
    evaluate.add_argument(
        "--ensemble",
        action="store_true",
        help="score all the prompts in shared batches, and their majority vote",
    )
    predict.add_argument(
        "--prompt",
        required=True,
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; of several, or of a folder of them, each row names "
        "its own: the file's name without its ending",
    )
    inspect.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    inspect.add_argument(
        "--metric",
        default="cosine",
        choices=("cosine", "dot", "l2"),
        metavar="NAME",
        help="what is near: cosine, dot or l2 (default: %(default)s)",
    )
    inspect.add_argument(
        "--label_words",
        default="",
        metavar="WORDS",
        help="words to look for, with commas between; the task's own by default",
    )
    inspect.add_argument(
        "--without_model",
        action="store_true",
        help="tell only what the file alone does; its model need not be there",
    )
    inspect.add_argument(
        "--output", metavar="FILE", help="also write all of it, as JSON"
    )
    text = "Check a model, a prompt and a task, and say in words what is wrong."
    doctor = add("doctor", text, commands.doctor)
    doctor.add_argument(
        "--prompt",
        metavar="FILE",
        help="a prompt.safetensors; without it the run is checked before its training",
    )
    doctor.add_argument(
        "--output", metavar="FILE", help="also write the findings, as JSON"
    )
    submit = add("submit", "Answer a test split for its leaderboard.", commands.submit)
    submit.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    submit.add_argument("--split", help="split to answer, instead of test")
    submit.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the leaderboard file"
    )
    for sub in (evaluate, predict, inspect, doctor, submit):
        sub.add_argument(
            "--another_backbone",
            action="store_true",
            help="allow a model that the prompt was not trained on",
        )
    text = "Train every arm of a recipe's sweep, and compare the results."
    sweep = add("sweep", text, commands.sweep)
    sweep.add_argument(
        "--workdir", required=True, metavar="DIR", help="folder of the runs"
    )
    for sub in (train, sweep):
        sub.add_argument(
            "--dry_run",
            action="store_true",
            help="make all checks, say what would be trained, and write nothing",
        )
    for sub in (train, evaluate, sweep):
        _add_distributed(sub)
    text = "Say whether a run fits a TPU slice that is not here, and what it costs."
    _add_plan(add("plan", text, commands.plan))
    add_serve(subparsers)
    _add_report(subparsers)
    _add_compare(subparsers)
    _add_interchange(subparsers)
    _add_hub(subparsers)
    add_transfer(subparsers, _add_gin)
    _add_help(subparsers, parser)
    for sub in (evaluate, predict, inspect, doctor, submit):
        _add_overwrite(sub)
    return parser


def _add_help(subparsers: Any, parser: Parser) -> None:
    """Adds the commands that help to write others, and need no JAX."""
    text = "List the tasks, models, recipes and names that there are to choose from."
    names = subparsers.add_parser("list", help=text, description=text)
    names.set_defaults(command=commands.list_names, quick=True)
    names.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    text = "Write the gin file of a task of your own, from its data."
    new = subparsers.add_parser("new", help=text, description=text)
    new.set_defaults(command=commands.new, quick=True)
    new.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="rows: one file, which is divided; or those of train, validation and test",
    )
    new.add_argument(
        "--output", metavar="FILE", help="the gin file (default: FILE's name with .gin)"
    )
    new.add_argument("--text", metavar="NAME", help="column of the text")
    new.add_argument("--label", metavar="NAME", help="column of the label, or answer")
    _add_overwrite(new)
    text = "Print a script by which a shell completes commands, flags and gin files."
    completion = subparsers.add_parser("completion", help=text, description=text)
    completion.set_defaults(command=commands.completion, quick=True, parser=parser)
    completion.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish"
    )


def _add_rows(predict: argparse.ArgumentParser) -> None:
    predict.add_argument(
        "--input",
        default="-",
        metavar="FILE",
        help="rows: a .csv or .tsv file, any other of JSON lines; - for JSON lines "
        "from standard input",
    )
    predict.add_argument(
        "--output",
        default="-",
        metavar="FILE",
        help="answers, by the ending likewise; - for JSON lines on the screen",
    )
    predict.add_argument(
        "--prompt_field",
        metavar="NAME",
        help='field in which a row names its prompt ("prompt" with several prompts; '
        "with one, no field does)",
    )
    predict.add_argument(
        "--answer_field",
        default="prediction",
        metavar="NAME",
        help="field that gets the answer (default: %(default)s)",
    )
    predict.add_argument(
        "--scores",
        action="store_true",
        help='say how likely answers are: add a field "probabilities", of each label, '
        'or "probability", of a decoded answer',
    )
    predict.add_argument(
        "--top_k",
        type=int,
        default=0,
        metavar="N",
        help='add a field "candidates" of the N likeliest answers: labels, or what '
        "beam search finds",
    )


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--topology",
        required=True,
        metavar="SLICE",
        help="chip and grid, as v5e:1x1, v5e:2x2, v6e:2x4 or v5p:2x2x1",
    )
    command.add_argument(
        "--step",
        default="train",
        help="train for an update, predict for the answers to a batch (default: "
        "%(default)s)",
    )
    command.add_argument(
        "--search",
        action="store_true",
        help="try every mesh of the slice, and every rematerialisation",
    )


def _add_distributed(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--distributed",
        action="store_true",
        help="join the other processes of this job: found out on Cloud TPUs and GKE, "
        "and under Slurm and Open MPI",
    )
    command.add_argument(
        "--coordinator_address",
        metavar="HOST:PORT",
        help="of the job's first process, where it cannot be found out",
    )
    command.add_argument(
        "--num_processes", type=int, metavar="N", help="processes of the job"
    )
    command.add_argument(
        "--process_id", type=int, metavar="K", help="which of them this is, from 0"
    )


def is_distributed(flags: argparse.Namespace) -> bool:
    """Whether this process is one of a job's."""
    return "distributed" in flags and (
        flags.distributed or flags.coordinator_address is not None
    )


def _add_gin(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--gin_file",
        action="append",
        default=[],
        metavar="FILE",
        help="gin file; several are read in order, and looked for here and then "
        "beside the package",
    )
    command.add_argument(
        "--gin.NAME",
        dest="_",
        metavar="VALUE",
        help="set a name of the gin files, as in --gin.STEPS=500 or "
        "--gin.MODEL=google/t5-small-lm-adapt",
    )


def _add_overwrite(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output file"
    )


def _add_report(subparsers: Any) -> None:
    text = "Gather finished runs into one page."
    report = subparsers.add_parser("report", help=text, description=text)
    report.set_defaults(command=commands.report)
    report.add_argument(
        "folders", nargs="+", metavar="DIR", help="folder of a run, or of runs"
    )
    report.add_argument(
        "--output", required=True, metavar="FILE", help="the page, as report.html"
    )
    report.add_argument(
        "--tables",
        action="store_true",
        help="also write results.csv, .md, .png and .svg beside the page",
    )
    _add_overwrite(report)


def _add_compare(subparsers: Any) -> None:
    text = "Say on which rows two finished runs differ, and whether by chance."
    compare = subparsers.add_parser("compare", help=text, description=text)
    compare.set_defaults(command=commands.compare)
    for name, which in (("first", "a finished run"), ("second", "another one")):
        what = f"folder of {which}, or its predictions.jsonl"
        compare.add_argument(name, metavar=name.upper(), help=what)
    compare.add_argument("--output", metavar="FILE", help="also write it, as JSON")
    _add_overwrite(compare)


def _add_interchange(subparsers: Any) -> None:
    text = "Take a prompt from another program."
    take = subparsers.add_parser("import", help=text, description=text)
    take.set_defaults(command=commands.import_prompt)
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
    text = "Give a prompt to another program, or the prompted model to any."
    give = subparsers.add_parser("export", help=text, description=text)
    give.set_defaults(command=commands.export)
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
    _add_gin(give)
    give.add_argument(
        "--another_backbone",
        action="store_true",
        help="stablehlo, peft_prefix, cartridge: allow a model that the prompt was not "
        "trained on",
    )
    forms = (
        "google: a .npy of google-research/prompt-tuning (the default); t5x: its "
        "checkpoint; peft: a folder of Hugging Face PEFT; tensorrt_llm: a prompt "
        "table; vllm: prompt embeddings; llama_cpp: its raw embeddings; cartridge: "
        "keys and values of each layer, by name"
    )
    whole = (
        "; stablehlo: the whole prompted model, which runs without jaxprompt; "
        "peft_prefix: PEFT's prefix tuning, of a deep prompt or of what a decoder-only "
        "model makes of soft tokens"
    )
    for sub, known in ((take, forms), (give, forms + whole)):
        sub.add_argument("--format", default="google", help=known)
        sub.add_argument(
            "--output",
            required=True,
            metavar="FILE",
            help="the file, or the folder, to write",
        )
        _add_overwrite(sub)


def _add_hub(subparsers: Any) -> None:
    text = "Share a prompt, or those of a bank, on the Hugging Face Hub."
    push = subparsers.add_parser("push", help=text, description=text)
    push.set_defaults(command=commands.push)
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
    text = "Fetch a prompt, or a bank's, from the Hugging Face Hub."
    pull = subparsers.add_parser("pull", help=text, description=text)
    pull.set_defaults(command=commands.pull)
    pull.add_argument("repo", metavar="NAME/REPO", help="where from")
    pull.add_argument("--revision", help="branch, tag or commit, instead of main")
    pull.add_argument(
        "--output", required=True, metavar="DIR", help="the folder to write"
    )
    _add_overwrite(pull)
