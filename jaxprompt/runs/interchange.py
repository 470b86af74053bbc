"""Taking prompts from other programs, and giving them to these."""

from pathlib import Path

from jaxprompt.interop.forms import find_form
from jaxprompt.prompts.file import Provenance, load_prompt, write_prompt
from jaxprompt.runs.output import check_output


def import_prompt(
    source: Path,
    output: Path,
    *,
    form: str = "google",
    backbone: str,
    task: str = "",
    overwrite: bool = False,
) -> None:
    """Writes another program's prompt as a prompt file of this project.

    Its provenance says what is known: the backbone as it is named here, with an empty
    fingerprint, as the weights were not seen. To use it takes --another_backbone.

    Args:
        source: The other program's file.
        output: The prompt.safetensors to write.
        form: One of `interop.forms.FORMS`.
        backbone: Hub name or folder of the model that it was trained on.
        task: Name of the task that it was trained on, if known.
        overwrite: Whether `output` may exist.

    Raises:
        ValueError: If the source is no such prompt, or something is missing.
        FileNotFoundError: If a file is missing.
    """
    read = find_form(form).read
    if not backbone:
        raise ValueError(
            f"no backbone: name the model that {source} was trained on, as "
            "--backbone=google/t5-base-lm-adapt"
        )
    check_output(output, overwrite)
    prompt = read(source)
    provenance = Provenance(
        backbone=backbone,
        revision=None,
        fingerprint="",
        length=prompt.length,
        width=prompt.width,
        task=task,
        init="file",
        source=f"{form}: {source.name}",
    )
    write_prompt(output, prompt, provenance)
    print(
        f"wrote {output}: {prompt.length} soft tokens of width {prompt.width} for "
        f"{backbone}"
    )


def export_prompt(
    prompt_file: Path, output: Path, *, form: str = "google", overwrite: bool = False
) -> None:
    """Writes a prompt file of this project as another program's.

    Args:
        prompt_file: The prompt.
        output: The file to write.
        form: One of `interop.forms.FORMS`.
        overwrite: Whether `output` may exist.

    Raises:
        ValueError: If a file is not what it should be.
        FileNotFoundError: If a file is missing.
    """
    write = find_form(form).write
    check_output(output, overwrite)
    prompt, provenance = load_prompt(prompt_file)
    write(output, prompt, provenance)
    print(f"wrote {output}, a prompt for {provenance.backbone} in the form {form}")
