"""The Hugging Face Hub: files of a prompt to a repository, and verified ones back."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from jaxprompt.interop.hub_errors import one_line, told

CARD = "README.md"
PROMPT_PATTERNS = ("prompt.safetensors", "prompts/*.safetensors")
"""Where a repository holds its prompt, or those of a bank."""

PATTERNS = (
    *PROMPT_PATTERNS,
    "adapter_config.json",
    "adapter_model.safetensors",
    "peft/*/adapter_config.json",
    "peft/*/adapter_model.safetensors",
    CARD,
    "result.json",
    "report.html",
    "operative_config.gin",
)
"""Every file that is sent or fetched: others, pickles above all, never are."""

_LARGEST = 256 * 2**20
"""Bytes of a file. A prompt of 150 tokens for the largest T5 takes 5 MB with its start;
what is beyond is not a prompt, and would fill a disk."""

_STUBS = (".gitattributes", CARD)
"""What a repository holds that was just made by the web page."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What is about to be sent, checked against what the repository holds.

    Attributes:
        repository: "name/repo".
        files: Name in the repository -> content.
        removed: Files of an older prompt, which the same commit deletes.
        private: Whether to make the repository private; it is made if `head` is None.
        branch: Where the commit goes; None for the main branch.
        starts_branch: Whether the branch is new.
        head: The commit that was looked at; None if there is no repository yet.
    """

    repository: str
    files: Mapping[str, bytes]
    removed: tuple[str, ...]
    private: bool
    branch: str | None
    starts_branch: bool
    head: str | None

    @property
    def url(self) -> str:
        """The page of the repository."""
        return f"{HfApi().endpoint}/{self.repository}"


@dataclass(frozen=True, kw_only=True)
class Download:
    """What was fetched.

    Attributes:
        commit: Of the repository.
        files: Name in the repository -> content, each as the Hub's hash says.
        left_out: Names of the files that are no part of a prompt.
    """

    commit: str
    files: Mapping[str, bytes]
    left_out: tuple[str, ...]


def is_prompt(name: str) -> bool:
    """Whether a file of a repository is, by its name, a prompt."""
    return _matches(name, PROMPT_PATTERNS)


def is_shared(name: str) -> bool:
    """Tells whether a file is one of those that are sent and fetched."""
    return _matches(name, PATTERNS)


def check_repository(repository: str) -> None:
    """Refuses what is no name of a repository, without asking the Hub.

    Raises:
        ValueError: If it is not "name/repo".
    """
    problem = "" if repository.count("/") == 1 else "it has not one slash"
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        problem = one_line(error)
    if problem:
        raise ValueError(
            f"repository {repository!r}: write it as name/repo, not as an address or "
            f"a path ({problem})"
        )


def plan_upload(
    repository: str,
    files: Mapping[str, bytes],
    *,
    private: bool = False,
    branch: str | None = None,
    overwrite: bool = False,
) -> Upload:
    """Looks at a repository before anything is sent; writes nothing.

    Args:
        repository: "name/repo"; it need not exist.
        files: Name in the repository, as of `PATTERNS` -> content.
        private: Whether the repository is to be private.
        branch: Where to commit; None for the main branch. It need not exist.
        overwrite: Whether another prompt, or other files, may be there.

    Returns:
        What `upload` takes.

    Raises:
        ValueError: If there is no token, the Hub does not answer or refuses it; if the
            repository holds something else; or if it is public and should not be.
    """
    check_repository(repository)
    wrong = [name for name in files if not is_shared(name) or _is_trick(name)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no file of a prompt: rename it")
    if huggingface_hub.get_token() is None:
        raise ValueError(
            "no Hub token: set HF_TOKEN, or log in once by `hf auth login`; a token "
            f"with write access comes from {HfApi().endpoint}/settings/tokens"
        )
    info, starts_branch = _look(repository, branch)
    head = None if info is None else info.sha
    held = {} if head is None else _list(repository, head)
    if info is not None and private and not info.private:
        raise ValueError(
            f"{repository} is there already, and public: make it private in its "
            "settings, name a new one, or leave --private out"
        )
    if not overwrite:
        _check_free(repository, held, files)
    stale = (name for name in held if is_shared(name) and name not in files)
    return Upload(
        repository=repository,
        files=files,
        removed=tuple(stale) if overwrite else (),
        private=private,
        branch=branch,
        starts_branch=starts_branch,
        head=head,
    )


def upload(plan: Upload, title: str) -> str:
    """Sends the files in one commit: the repository has all of them, or none.

    Args:
        plan: From `plan_upload`; if the repository has changed since, nothing is sent.
        title: Of the commit.

    Returns:
        The commit.

    Raises:
        ValueError: If the Hub does not answer, or refuses.
    """
    hub, repository, head = HfApi(), plan.repository, plan.head
    with told("write to", repository):
        if head is None:
            hub.create_repo(repository, private=plan.private)
            head = hub.repo_info(repository).sha
        if plan.starts_branch and plan.branch is not None:
            hub.create_branch(repository, branch=plan.branch, exist_ok=True)
        return hub.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, plan.files[name]) for name in plan.files),
                *(CommitOperationDelete(name) for name in plan.removed),
            ],
            commit_message=title,
            revision=plan.branch,
            parent_commit=head,
        ).oid


def download(repository: str, folder: Path, *, revision: str | None = None) -> Download:
    """Fetches the files of a prompt, and verifies each against the Hub's hash of it.

    Args:
        repository: "name/repo".
        folder: An empty folder to work in.
        revision: Branch, tag or commit; None for the main branch.

    Returns:
        The files, of one commit.

    Raises:
        FileNotFoundError: If there is no such repository or revision.
        ValueError: If the Hub does not answer or refuses; if the repository holds no
            prompt, or a name that leads out of a folder; or if a file is too large, or
            is not what its hash says.
    """
    check_repository(repository)
    hub = HfApi()
    with told("read", repository, revision):
        commit = hub.repo_info(repository, revision=revision).sha
    if commit is None:
        raise ValueError(f"the Hub names no commit of {repository}: try again later")
    held = _list(repository, commit)
    tricks = [name for name in held if _is_trick(name)]
    if tricks:
        raise ValueError(
            f"{repository} holds a file named {tricks[0]!r}, which leads out of its "
            "folder: nothing of it is fetched"
        )
    wanted = [name for name in held if is_shared(name)]
    if not any(map(is_prompt, wanted)):
        hint = ""
        if "adapter_config.json" in wanted:
            hint = (
                "; fetch an adapter of PEFT by `hf download`, then `jaxprompt import`"
            )
        raise ValueError(
            f"{repository} holds no {' or '.join(PROMPT_PATTERNS)}, so it is no prompt "
            f"of jaxprompt: check the name{hint}"
        )
    large = [name for name in wanted if held[name].size > _LARGEST]
    if large:
        raise ValueError(
            f"{repository}: {large[0]} has {held[large[0]].size:,} bytes, where "
            f"{_LARGEST:,} are plenty for a prompt: it is something else"
        )
    files = {}
    for name in wanted:
        with told("read", repository, revision):
            # Not the Hub's cache: its snapshots are links, and outlive this check.
            path = Path(
                hub.hf_hub_download(repository, name, revision=commit, local_dir=folder)
            )
        files[name] = path.read_bytes()
        _check_hash(repository, held[name], files[name])
    left_out = tuple(name for name in held if name not in (*wanted, ".gitattributes"))
    return Download(commit=commit, files=files, left_out=left_out)


def find_cached(repository: str, revision: str | None) -> Path | None:
    """Finds a model that the Hub's cache holds, without any network.

    Args:
        repository: Its Hub name.
        revision: Its branch, tag or commit; None for the main branch.

    Returns:
        Its folder, which may lack files; None if it is not there.
    """
    try:
        path = huggingface_hub.snapshot_download(
            repository,
            revision=revision,
            local_files_only=True,
            allow_patterns=["config.json"],
        )
    # It raises many kinds: no such name, no such folder, not whole.
    except (OSError, ValueError):
        return None
    return Path(path)


def _look(
    repository: str, branch: str | None
) -> tuple[huggingface_hub.ModelInfo | None, bool]:
    """Returns the repository, if there is one, and whether the branch is missing."""
    hub = HfApi()
    with told("read", repository):
        try:
            return hub.model_info(repository, revision=branch), False
        except RevisionNotFoundError:
            return hub.model_info(repository), True
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None, branch is not None


def _list(repository: str, commit: str) -> dict[str, RepoFile]:
    with told("read", repository):
        tree = HfApi().list_repo_tree(repository, recursive=True, revision=commit)
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def _check_free(
    repository: str, held: Mapping[str, RepoFile], files: Mapping[str, bytes]
) -> None:
    """Refuses to mix a prompt with another, or with what is none."""
    prompts = [name for name in held if is_prompt(name)]
    others = [
        name for name in prompts if _hash_problem(held[name], files.get(name, b""))
    ]
    if others:
        raise ValueError(
            f"{repository} already holds another prompt, {others[0]}: name another "
            "repository, or say --overwrite to replace it"
        )
    strangers = [name for name in held if name not in _STUBS]
    if strangers and not prompts:
        raise ValueError(
            f"{repository} already holds {strangers[0]}, and no prompt: name another "
            "repository, or say --overwrite to add to it"
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name is one of these; * stands for what has no slash."""
    return any(
        name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _is_trick(name: str) -> bool:
    """Whether a name, as part of a path, could mean a place outside its folder."""
    parts = name.split("/")
    unsafe = "\\" in name or ":" in name or not name.isprintable()
    return unsafe or any(part in ("", ".", "..") for part in parts)


def _check_hash(repository: str, entry: RepoFile, content: bytes) -> None:
    problem = _hash_problem(entry, content)
    if problem:
        raise ValueError(
            f"{repository}: {entry.path} is not the file that the Hub lists "
            f"({problem}): nothing is kept; try again, and do not trust the repository "
            "if this stays"
        )


def _hash_problem(entry: RepoFile, content: bytes) -> str:
    """Says how a content differs from what the Hub lists; empty if it does not."""
    if entry.lfs is not None:
        kind, listed = "SHA-256", entry.lfs.sha256
        found = hashlib.sha256(content).hexdigest()
    else:
        # git's own name for a small file: it hashes a header and the content.
        kind, listed = "git's SHA-1", entry.blob_id
        blob = b"blob %d\0" % len(content) + content
        found = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
    return "" if found == listed else f"{kind} {found[:12]}, not {listed[:12]}"
