"""Models of the Hugging Face Hub: what is fetched of one, into the Hub's own cache."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.errors

from jaxprompt.models.weights.gguf_parts import names_of_parts
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.screen.suggest import path_hint

# Never a pickle: those can run code.
_WANTED = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "sentencepiece.bpe.model",
)

_FILE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^\\]+\.gguf)", re.IGNORECASE)


def is_file_name(name: str) -> bool:
    """Whether a name may be that of a GGUF file on the Hub: OWNER/REPO/FILE.gguf."""
    return not name.startswith((".", "/", "~")) and bool(_FILE.fullmatch(name))


def fetch_file(name: str, revision: str | None) -> tuple[Path, str]:
    """Fetches a GGUF file of the Hub, or all files of a model that has several.

    Args:
        name: OWNER/REPO/FILE.gguf; the file may stand in folders of the repository.
        revision: Branch, tag or commit.

    Returns:
        The file that is named, and the commit that it is of.

    Raises:
        FileNotFoundError: If it is neither here nor there.
    """
    found = _FILE.fullmatch(name)
    assert found is not None
    repo, file = found["repo"], found["file"]

    def fetch() -> str:
        folder, _, own = file.rpartition("/")
        paths = {
            part: huggingface_hub.hf_hub_download(
                repo, f"{folder}/{part}" if folder else part, revision=revision
            )
            for part in names_of_parts(own)
        }
        return paths[own]

    path = Path(_ask(fetch, f"no file at {quoted_path(name)}", f"{file!r} of {repo!r}"))
    # The cache keeps a file in a folder that is named by the commit.
    return path, path.parents[file.count("/")].name


def fetch_folder(name: str, revision: str | None) -> tuple[Path, str]:
    """Fetches JSON, safetensors and vocabulary of a repository of the Hub.

    Args:
        name: OWNER/REPO.
        revision: Branch, tag or commit.

    Returns:
        The folder, and the commit that it is of.

    Raises:
        FileNotFoundError: If it is neither here nor there.
        ValueError: If it holds GGUF files alone: which is meant is not known.
    """

    def fetch() -> str:
        return huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(_WANTED)
        )

    def names() -> list[str]:
        return huggingface_hub.HfApi().list_repo_files(name, revision=revision)

    absent, what = f"no model folder at {quoted_path(name)}", repr(name)
    if hint := path_hint(name):
        absent += f" ({hint.removeprefix(': ')})"
    folder = Path(_ask(fetch, absent, what))
    if not (folder / "config.json").is_file():
        files = [file for file in _ask(names, absent, what) if file.endswith(".gguf")]
        if files:
            raise ValueError(
                f"{name} holds GGUF files: name one of them, {listed(sorted(files))}, "
                f"as {name}/{min(files)}"
            )
    return folder, folder.name


def _ask(what: Callable[[], Any], absent: str, named: str) -> Any:
    try:
        return what()
    # The Hub's client raises many kinds: no such name, no network, offline, no disk.
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as err:
        raise FileNotFoundError(
            f"{absent}, and {named} could not be had from the Hub: {err}"
        ) from err
