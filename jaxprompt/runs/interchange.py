"""Taking prompts from other programs, and giving them to these."""

from collections.abc import Sequence
from pathlib import Path

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.folder import new_folder
from jaxprompt.interop.forms import find_form
from jaxprompt.interop.peft_prefix import for_model
from jaxprompt.interop.scale import find_config, scale_of, scaled_for
from jaxprompt.models.families import FAMILIES, family_of
from jaxprompt.prompts.file import load_prompt, write_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance, refuse_head
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.ready.together import check_together
from jaxprompt.runs.ready.trained_on import check_leads
from jaxprompt.screen.terminal import say


def import_prompt(
    source: Path,
    output: Path,
    *,
    form: str = "google",
    backbone: str = "",
    task: str = "",
    row: int | None = None,
    overwrite: bool = False,
) -> None:
    """Writes another program's prompt as a prompt file of this project.

    Its provenance says what is known: the backbone as it is named here, with an empty
    fingerprint, as the weights were not seen. To use it takes --another_backbone.

    Args:
        source: The other program's file or folder.
        output: The prompt.safetensors to write; the folder for them, if the source
            holds several prompts.
        form: One of `interop.forms.FORMS`.
        backbone: Hub name or folder of the model that it was trained on; empty if the
            source says.
        task: Name of the task that it was trained on, if known; of several prompts
            their names in order, with commas between.
        row: Which of several prompts to take, from 0; None takes all.
        overwrite: Whether `output` may exist.

    Raises:
        ValueError: If the source is no such prompt, or something is missing.
        FileNotFoundError: If a file is missing.
    """
    read = find_form(form).read
    check_output(output, overwrite, folder=True)
    taken = read(source)
    backbone = backbone or taken.backbone
    if not backbone:
        raise ValueError(
            f"no backbone: name the model that {source} was trained on, as "
            "--backbone=google/t5-base-lm-adapt"
        )
    model = find_config(backbone)
    causal = taken.causal if model is None else model.causal
    family = None if model is None else family_of(model)
    prompts = [
        for_model(prompt, model, backbone)
        if prompt.deep
        else Prompt(prompt.rows / scale_of(form, family, prompt.width))
        for prompt in _pick(taken.prompts, row, source)
    ]
    tasks = _task_names(task, len(prompts))
    for note in taken.notes:
        say(note)
    if (
        family is None
        and causal is not False
        and not any(prompt.deep for prompt in prompts)
        and any(form in known.scaled_forms for known in FAMILIES)
    ):
        say(
            f"{backbone} is not here, so its rows are kept as they are: if it "
            "multiplies its embeddings, give its folder as --backbone"
        )

    def provenance_of(prompt: Prompt, task: str) -> Provenance:
        return Provenance(
            backbone=backbone,
            revision=None,
            fingerprint="",
            length=prompt.length,
            width=prompt.width,
            task=task,
            init="file",
            source=f"{form}: {source.resolve().name}",
            causal=causal,
            family="" if family is None else family.name,
        )

    if len(prompts) == 1:
        (prompt,) = prompts
        if output.is_dir():
            raise ValueError(
                f"{output} is a folder: name a file, as prompt.safetensors"
            )
        write_prompt(output, prompt, provenance_of(prompt, tasks[0]))
        say(f"wrote {output}: {prompt.told} of width {prompt.width} for {backbone}")
        return
    files = {
        f"{name or f'row-{place}'}.safetensors": (prompt, name)
        for place, (prompt, name) in enumerate(zip(prompts, tasks, strict=True))
    }
    with new_folder(output, files.keys()) as folder:
        for file, (prompt, name) in files.items():
            write_prompt(folder / file, prompt, provenance_of(prompt, name))
    say(f"wrote {output}: {', '.join(files)} for {backbone}")


def _pick(prompts: Sequence[Prompt], row: int | None, source: Path) -> Sequence[Prompt]:
    if row is None:
        return prompts
    if not 0 <= row < len(prompts):
        raise ValueError(
            f"row {row} of {source}, which holds {len(prompts)} prompts: use 0 to "
            f"{len(prompts) - 1}"
        )
    return [prompts[row]]


def _task_names(task: str, count: int) -> list[str]:
    """Splits the names of several prompts' tasks."""
    if count == 1 or not task:
        return [task] * count
    names = task.split(",")
    if len(names) != count or len({*names, ""}) <= count:
        raise ValueError(
            f"task {task!r} for {count} prompts: give each a name of its own, with "
            "commas between, or choose one by --row"
        )
    wrong = [name for name in names if Path(name).name != name]
    if wrong:
        raise ValueError(f"task {wrong[0]!r} cannot name a file: use another name")
    return names


def export_prompt(
    prompt_files: Sequence[Path],
    output: Path,
    *,
    form: str = "google",
    dtype: str = "",
    backbone: str = "",
    overwrite: bool = False,
) -> None:
    """Writes prompt files of this project as another program's.

    Args:
        prompt_files: The prompt; several only for a form that holds several.
        output: The file, or the folder, to write.
        form: One of `interop.forms.FORMS`.
        dtype: Of the numbers in it; empty for the form's usual one.
        backbone: The model that a form names, or writes into; empty takes the one
            that the prompt was trained on.
        overwrite: Whether `output` may exist.

    Raises:
        ValueError: If a file or an option is not what it should be.
        FileNotFoundError: If a file is missing.
    """
    known = find_form(form)
    if dtype and dtype not in known.dtypes:
        raise ValueError(
            f"form {form} in {dtype}: it is written in {' or '.join(known.dtypes)}"
        )
    if backbone and not known.names_backbone:
        raise ValueError(f"form {form} names no model: leave --backbone out")
    if len(prompt_files) > 1 and not known.several:
        raise ValueError(
            f"form {form} holds one prompt, not {len(prompt_files)}: export them one "
            "by one"
        )
    check_output(output, overwrite, folder=True)
    if output.exists() and output.is_dir() != known.folder:
        kind = "folder" if known.folder else "file"
        raise ValueError(f"form {form} is written as a {kind}, but {output} is none")
    prompts, provenances = zip(*map(load_prompt, prompt_files), strict=True)
    for prompt, provenance in zip(prompts, provenances, strict=True):
        refuse_head(provenance, f"form {form}")
        check_leads(provenance, f"form {form}")
        prompt.soft_rows(alone=f"form {form}")
    named = [{"backbone": provenance.backbone} for provenance in provenances]
    check_together(
        dict(zip(prompt_files, named, strict=True)),
        fix="a table serves one model, so export those of each alone",
    )
    scaled = [
        scaled_for(form, prompt, provenance, backbone)
        for prompt, provenance in zip(prompts, provenances, strict=True)
    ]
    given = Given(
        prompts=scaled,
        provenances=provenances,
        dtype=dtype or known.dtypes[0],
        backbone=backbone,
    )
    if known.write is None:
        raise ValueError(f"form {form} is written with the prompt's model")
    for note in known.write(output, given):
        say(note)
    number = f"{len(prompts)} prompts" if len(prompts) > 1 else "a prompt"
    say(f"wrote {output}, {number} for {provenances[0].backbone} in the form {form}")
