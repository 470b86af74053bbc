"""Sharing prompts on the Hugging Face Hub: push with a model card, pull verified."""

import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.config import Run
from jaxprompt.interop import hub, peft
from jaxprompt.interop.exchange import Given
from jaxprompt.interop.folder import check_replaceable, new_folder
from jaxprompt.interop.scale import scaled_for
from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.provenance import Provenance, refuse_head
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.keep.result_file import read_result_file
from jaxprompt.runs.keep.workdir import CONFIG, PAGE, PROMPT, PROMPTS, RESULT
from jaxprompt.runs.publish.sharing_card import SharedPrompt, make_card
from jaxprompt.runs.ready.trained_on import check_leads
from jaxprompt.screen.quoting import quoted_path
from jaxprompt.screen.terminal import say

_TOP = tuple({pattern.partition("/")[0] for pattern in hub.PATTERNS})
"""What may lie in the folder of a pulled prompt."""


def find_shared(name: str) -> list[Path]:
    """Lists the prompt files that a name given to `push` means.

    Args:
        name: A prompt file, the folder of a run, or a folder of prompt files.

    Returns:
        One file, or those of a bank by name.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = Path(name)
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(
                f"no prompt file at {quoted_path(path)}: check the path"
            )
        return [path]
    if (path / PROMPT).is_file():
        return [path / PROMPT]
    folder = path / PROMPTS if (path / PROMPTS).is_dir() else path
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(
            f"no *.safetensors in folder {quoted_path(folder)}: check the path"
        )
    return files


def push(
    runs: Mapping[Path, Run | None],
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    overwrite: bool = False,
) -> str:
    """Uploads prompts in one commit, with a card, their result, and adapters for PEFT.

    Args:
        runs: One prompt file, or several of one model, as `find_shared` lists them,
            and of each what its own configuration says; None if it brings none.
        repository: "name/repo" on the Hub; it is made if it is not there.
        private: Whether the repository is to be private.
        revision: Branch to commit to, made if it is not there; None for the main one.
        overwrite: Whether another prompt may be there, which is replaced.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file does not fit the others or the result beside it; or if
            the Hub does not answer, refuses, or holds something else.
    """
    hub.check_repository(repository)
    files = list(runs)
    folder = _folder_of_run(files[0])
    result = None
    if (folder / RESULT).is_file():
        result = read_result_file(folder / RESULT)
    sources = _read_sources(files, folder, result)
    for source in sources:
        refuse_head(source.provenance, "push, which adds a copy for PEFT,")
        check_leads(source.provenance, "push, which adds a copy for PEFT,")
        source.prompt.soft_rows(alone="push, which adds a copy for PEFT,")
    contents = {source.file: source.path.read_bytes() for source in sources}
    for source in sources:
        contents |= _adapter(source)
    for name in (RESULT, PAGE, CONFIG):
        if (folder / name).is_file():
            contents[name] = (folder / name).read_bytes()
    contents[hub.CARD] = make_card(repository, sources, result, runs).encode()
    plan = hub.plan_upload(
        repository, contents, private=private, branch=revision, overwrite=overwrite
    )
    _announce(plan)
    number = f"{len(sources)} prompts" if len(sources) > 1 else "A prompt"
    commit = hub.upload(plan, f"{number} for {sources[0].provenance.backbone}")
    say(f"wrote {plan.url}, commit {commit[:12]}")
    return commit


def pull(
    repository: str,
    output: Path,
    *,
    revision: str | None = None,
    overwrite: bool = False,
) -> str:
    """Fetches prompts, their card and their result, each verified, or nothing.

    No pickle is ever fetched, and no name that leads out of the folder.

    Args:
        repository: "name/repo" on the Hub.
        output: The folder to write.
        revision: Branch, tag or commit; None for the main branch.
        overwrite: Whether `output` may exist; it is never replaced if it holds other
            files than a pulled prompt's.

    Returns:
        The commit that was fetched.

    Raises:
        FileNotFoundError: If there is no such repository or revision.
        ValueError: If `output` may not be written; if the Hub does not answer or
            refuses; or if what it holds is no prompt, or is not what its hashes say.
    """
    check_output(output, overwrite, folder=True)
    check_replaceable(output, _TOP)
    with tempfile.TemporaryDirectory() as scratch:
        found = hub.download(repository, Path(scratch), revision=revision)
    prompts = [name for name in found.files if hub.is_prompt(name)]
    _check_kept(output, found.files)
    with new_folder(output, _TOP) as folder:
        for name, content in found.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        loaded = [_load(repository, folder, name) for name in prompts]
    if found.left_out:
        say(f"left out, as no part of a prompt: {', '.join(found.left_out)}")
    for name, provenance in zip(prompts, loaded, strict=True):
        say(
            f"{output / name}: {provenance.length} soft tokens for "
            f"{provenance.backbone}, task {provenance.task or 'not known'}"
        )
    say(f"wrote {output} from {repository}, commit {found.commit[:12]}; score it by")
    say(f"jaxprompt evaluate {_flags(output, prompts, loaded[0])}")
    return found.commit


def _check_kept(output: Path, files: Iterable[str]) -> None:
    """Raises ValueError if a folder has files that a pulled prompt does not replace."""
    there = (path for path in sorted(output.rglob("*")) if not path.is_dir())
    names = [path.relative_to(output).as_posix() for path in there]
    # Prompts of a bank may be the user's own, whatever they are called.
    mine = [name for name in names if not hub.is_shared(name)]
    mine += [name for name in names if hub.is_prompt(name) and name not in files]
    if mine:
        raise ValueError(
            f"{quoted_path(output)} holds {mine[0]}, which the repository does not: "
            "name a new folder"
        )


def _flags(output: Path, prompts: Sequence[str], provenance: Provenance) -> str:
    several = len(prompts) > 1
    place = output / (PROMPTS if several else prompts[0])
    flags = ["--ensemble"] * several + [f"--prompt={shlex.quote(str(place))}"]
    # Without it such a prompt is refused; see `check_backbone`.
    return " ".join(flags + ["--another_backbone"] * (not provenance.fingerprint))


def _load(repository: str, folder: Path, name: str) -> Provenance:
    try:
        return load_prompt(folder / name)[1]
    except ValueError as error:
        # The folder is gone when this is read.
        said = str(error).replace(f"{folder}/", "")
        raise ValueError(f"{repository}: {said}; nothing is kept") from error


def _folder_of_run(file: Path) -> Path:
    folder = file.absolute().parent
    return folder.parent if folder.name == PROMPTS else folder


def _read_sources(
    files: Sequence[Path], folder: Path, result: Mapping[str, Any] | None
) -> list[SharedPrompt]:
    """Reads the prompts, and finds what the result says of each."""
    several, sources = len(files) > 1, []
    for path in files:
        prompt, provenance = load_prompt(path)
        member = None
        if result is not None:
            member = _member_of(result, path, provenance, folder / RESULT)
        sources.append(
            SharedPrompt(
                path,
                file=f"{PROMPTS}/{path.name}" if several else PROMPT,
                adapter=f"peft/{path.stem}" if several else "",
                prompt=prompt,
                provenance=provenance,
                member=member,
            )
        )
    first = sources[0].provenance
    for source in sources[1:]:
        one = source.provenance
        if (one.backbone, one.fingerprint) != (first.backbone, first.fingerprint):
            raise ValueError(
                f"{source.path} is for {one.backbone} ({one.fingerprint[:12]}), but "
                f"{sources[0].path} for {first.backbone} ({first.fingerprint[:12]}): a "
                "repository holds prompts of one model, so push those of each alone"
            )
    return sources


def _member_of(
    result: Mapping[str, Any], path: Path, provenance: Provenance, where: Path
) -> Mapping[str, Any]:
    """Finds what a result says of a prompt; another's scores must not stand for it."""
    members = result.get("members", [result])
    for member in members:
        known = (member.get("task"), member.get("seed"))
        if known == (provenance.task, provenance.seed):
            return member
    there = ", ".join(f"{m.get('task')} seed {m.get('seed')}" for m in members)
    raise ValueError(
        f"{where} tells of {there}, but {path} is {provenance.task or 'of no task'} "
        f"seed {provenance.seed}: put the prompt beside its own result, or beside none"
    )


def _adapter(source: SharedPrompt) -> dict[str, bytes]:
    """Makes PEFT's files of a prompt."""
    prompt = scaled_for("peft", source.prompt, source.provenance)
    given = Given(prompts=[prompt], provenances=[source.provenance])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "adapter"
        peft.write(folder, given)
        place = f"{source.adapter}/" if source.adapter else ""
        return {place + path.name: path.read_bytes() for path in folder.iterdir()}


def _announce(plan: hub.Upload) -> None:
    """Says what will be sent and where, before it is."""
    kind = "a new " if plan.head is None else ""
    kind += "private " if plan.private else "public " * (plan.head is None)
    branch = f", branch {plan.branch}" if plan.branch else ""
    say(f"to {kind}repository {plan.url}{branch}:")
    for name, content in plan.files.items():
        say(f"  {name} ({len(content):,} bytes)")
    for name in plan.removed:
        say(f"  {name} is removed")
