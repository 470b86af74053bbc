"""The flags of the commands that use a trained prompt on rows, or look into it."""

from typing import Any

from jaxprompt.command import commands
from jaxprompt.command.flags.shared import (
    add_another_backbone,
    add_distributed,
    add_gin,
    add_json_output,
    add_overwrite,
    new_command,
)


def add_answers(subparsers: Any) -> None:
    """Adds evaluate, predict, inspect, doctor and submit to the parser of all."""
    _add_evaluate(subparsers)
    _add_predict(subparsers)
    _add_inspect(subparsers)
    _add_doctor(subparsers)
    _add_submit(subparsers)


def _add_evaluate(subparsers: Any) -> None:
    text = "Score a prompt file on its task, or the frozen model alone."
    evaluate = new_command(subparsers, "evaluate", text, commands.evaluate)
    add_gin(evaluate)
    scored = evaluate.add_mutually_exclusive_group(required=True)
    scored.add_argument(
        "--prompt",
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; with --ensemble several, or a folder of them",
    )
    scored.add_argument(
        "--without_prompt",
        action="store_true",
        help="score the model of the gin files before anything trains: as it is, and "
        "in words, with EXAMPLES_IN_INPUT drawn for each of SEEDS",
    )
    evaluate.add_argument(
        "--ensemble",
        action="store_true",
        help="score all the prompts in shared batches, and their majority vote",
    )
    evaluate.add_argument("--split", help="split to score, instead of its validation")
    evaluate.add_argument(
        "--mistakes",
        type=int,
        default=0,
        metavar="N",
        help="also print the N worst mistakes, the least likely true answer first",
    )
    evaluate.add_argument(
        "--predictions", metavar="FILE", help="also write every answer, as JSON lines"
    )
    add_json_output(evaluate, "the scores")
    add_another_backbone(evaluate)
    add_distributed(evaluate)


def _add_predict(subparsers: Any) -> None:
    text = "Answer rows with a prompt file."
    predict = new_command(subparsers, "predict", text, commands.predict)
    add_gin(predict)
    predict.add_argument(
        "--prompt",
        required=True,
        action="append",
        metavar="FILE",
        help="a prompt.safetensors; of several, or of a folder of them, each row names "
        "its own: the file's name without its ending",
    )
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
    add_another_backbone(predict)
    add_overwrite(predict)


def _add_inspect(subparsers: Any) -> None:
    text = "Show where a prompt comes from and what it is near."
    inspect = new_command(subparsers, "inspect", text, commands.inspect)
    add_gin(inspect)
    inspect.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    inspect.add_argument(
        "--neighbours",
        type=int,
        default=5,
        metavar="K",
        help="words for each soft token",
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
    add_json_output(inspect, "all of it")
    add_another_backbone(inspect)


def _add_doctor(subparsers: Any) -> None:
    text = "Check a model, a prompt and a task, and say in words what is wrong."
    doctor = new_command(subparsers, "doctor", text, commands.doctor)
    add_gin(doctor)
    doctor.add_argument(
        "--prompt",
        metavar="FILE",
        help="a prompt.safetensors; without it the run is checked before its training",
    )
    add_json_output(doctor, "the findings")
    add_another_backbone(doctor)


def _add_submit(subparsers: Any) -> None:
    text = "Answer a test split for its leaderboard."
    submit = new_command(subparsers, "submit", text, commands.submit)
    add_gin(submit)
    submit.add_argument(
        "--prompt", required=True, metavar="FILE", help="a prompt.safetensors"
    )
    submit.add_argument("--split", help="split to answer, instead of test")
    submit.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the leaderboard file"
    )
    add_another_backbone(submit)
    add_overwrite(submit)
