"""Giving a prompt with what its model makes of it: a program, or a prefix."""

from pathlib import Path

from jaxprompt.config import LOSS, Run
from jaxprompt.interop import cartridge
from jaxprompt.interop.folder import check_replaceable
from jaxprompt.interop.peft_prefix import (
    CONFIG,
    WEIGHTS,
    check_prefix,
    prefix_of,
    write_prefix,
)
from jaxprompt.interop.stablehlo.program import (
    ExportedAnswering,
    file_names,
    write_program,
)
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.provenance import refuse_head
from jaxprompt.report.text.markdown import code
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.prepare import prepare
from jaxprompt.runs.ready.trained_on import check_leads, check_prompts, own_model
from jaxprompt.screen.terminal import say


def export_model(
    run: Run,
    prompt_file: Path,
    output: Path,
    *,
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Writes the prompted model as a program, its weights and its vocabulary.

    Args:
        run: Model, task and method; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        output: The folder to write.
        overwrite: Whether `output` may exist; it never is replaced if it holds other
            files.
        another_backbone: Allows a model that the prompt was not trained on.

    Raises:
        ValueError: If anything does not fit, before any device work.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite, folder=True)
    evaluation, data = run.evaluation, run.data
    if evaluation.method == LOSS:
        raise ValueError(
            f"method {LOSS!r} gives no answers: use another, as --gin.METHOD=greedy"
        )
    if evaluation.method == "nucleus":
        raise ValueError(
            "method 'nucleus' draws by chance, which a program of fixed answers does "
            "not: use another, as --gin.METHOD=greedy"
        )
    prompt, provenance = load_prompt(prompt_file)
    refuse_head(provenance, "form stablehlo")
    check_leads(provenance, "form stablehlo")
    if provenance.causal:
        raise _no_encoder(provenance.backbone)
    job = prepare(run, trained=[provenance], another_backbone=another_backbone)
    backbone = job.frozen.backbone
    if backbone.causal:
        raise _no_encoder(backbone.name)
    check_replaceable(output, file_names(backbone))
    label_ids = None
    if evaluation.method == "rank":
        said = job.task.words
        if said is not None and len(said.flat) > len(said.labels):
            raise ValueError(
                f"form stablehlo chooses from one word of each label, but task "
                f"{job.task.name} has several of some: give one each"
            )
        label_ids = job.task.label_ids(data.target_length)
    answering = ExportedAnswering(
        method=evaluation.method,
        inputs=data.input_length,
        length=evaluation.decode_length or data.target_length,
        beams=evaluation.beams,
        alpha=evaluation.alpha,
        labels=(job.task.labels or ()) if evaluation.method == "rank" else (),
        label_ids=label_ids,
    )
    params = job.frozen.join(prompt)
    write_program(output, backbone, params, answering, provenance, _text_format(run))
    say(
        f"wrote {output}: {provenance.backbone} with the prompt of {prompt_file}; "
        "its README.md says how to run it"
    )


PREFIX_FORMS = ("peft_prefix", "cartridge")
"""Forms that hold keys and values of every layer."""


def export_prefix(
    run: Run,
    prompt_file: Path,
    output: Path,
    *,
    form: str = "peft_prefix",
    overwrite: bool = False,
    another_backbone: bool = False,
) -> None:
    """Writes a deep prompt, or one that folds to it, as another program's prefix.

    Args:
        run: The model; what a prompt's own file says, or a change of it.
        prompt_file: The prompt.
        output: The folder to write; the file, of a cartridge.
        form: One of `PREFIX_FORMS`.
        overwrite: As for `export_model`.
        another_backbone: As for `export_model`.

    Raises:
        ValueError: If anything does not fit, as the prompt of a T5.
        FileNotFoundError: If a file is missing.
    """
    check_output(output, overwrite, folder=form != "cartridge")
    prompt, provenance = load_prompt(prompt_file)
    refuse_head(provenance, f"form {form}")
    check_leads(provenance, f"form {form}")
    if form == "cartridge":
        cartridge.check_place(output)
    else:
        check_replaceable(output, {CONFIG, WEIGHTS})
    model = own_model(provenance, run)
    checkpoint = find_checkpoint(str(model.name), revision=model.revision)
    backbone = open_backbone(checkpoint)
    if form == "cartridge" and not backbone.causal:
        raise ValueError(
            f"form cartridge for {backbone.name}, which has an encoder: only models "
            "with a decoder alone are served with one"
        )
    check_prefix(prompt, backbone, form)
    check_prompts([provenance], backbone, another_backbone=another_backbone)
    params = {} if prompt.deep else read_params(checkpoint, "float32", None)
    if form == "cartridge":
        cartridge.write(output, prefix_of(backbone, params, prompt))
    else:
        write_prefix(output, backbone, params, prompt, str(model.name))
    say(f"wrote {output}: the prompt of {prompt_file} as a prefix of {backbone.name}")


def _no_encoder(name: str) -> ValueError:
    return ValueError(
        f"form stablehlo for {name}, a model with a decoder only: only a T5 can be "
        "exported whole; peft and peft_prefix take its prompt"
    )


def _text_format(run: Run) -> str:
    """Says how the task writes its inputs, where the configuration does."""
    task = run.data.task
    if task is None:
        return ""
    if task.input_template:
        return f"They were formatted by {code(task.input_template)}."
    return f"They were formatted {task.input_format}." if task.input_format else ""
