"""What the Hugging Face Hub's client raises, as one line that says what to do."""

import contextlib
from collections.abc import Iterator

import huggingface_hub
from huggingface_hub import HfApi, errors

_ClientError = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
"""Of httpx or httpx2: which one depends on the client's version."""


@contextlib.contextmanager
def told(doing: str, repository: str, revision: str | None = None) -> Iterator[None]:
    """Makes one clear line of whatever the Hub's client raises in the body.

    Args:
        doing: What the body does, as "write to".
        repository: To which repository.
        revision: The branch, tag or commit that was asked for.

    Raises:
        FileNotFoundError: If there is no such repository or revision.
        ValueError: If the Hub does not answer, or refuses.
    """
    try:
        yield
    # ValueError is what the client makes of a malformed answer, RuntimeError of an
    # upload that fails.
    except (_ClientError, OSError, ValueError, RuntimeError) as error:
        raise _explain(error, doing, repository, revision) from error


def _explain(
    error: BaseException, doing: str, repository: str, revision: str | None
) -> Exception:
    # The client wraps some answers in errors of its own.
    answer: BaseException | None = error
    while answer is not None and not isinstance(answer, errors.HfHubHTTPError):
        answer = answer.__cause__
    endpoint = HfApi().endpoint
    if answer is not None:
        return _explain_answer(answer, doing, repository, revision)
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    if any(isinstance(one, errors.OfflineModeIsEnabled) for one in chain):
        return ValueError(f"HF_HUB_OFFLINE is set: unset it to {doing} {repository}")
    lost = [one for one in chain if isinstance(one, _ClientError)]
    if lost:
        return ValueError(
            f"cannot {doing} {repository}: no answer from {endpoint} "
            f"({one_line(lost[0])}); check the network, and HF_ENDPOINT if it is set"
        )
    return ValueError(
        f"cannot {doing} {repository} at {endpoint}: {one_line(error)}; try again"
    )


def _explain_answer(
    error: errors.HfHubHTTPError,
    doing: str,
    repository: str,
    revision: str | None,
) -> Exception:
    endpoint, status = HfApi().endpoint, error.response.status_code
    token = "this token" if huggingface_hub.get_token() else "who has no token"
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(
            f"no revision {revision!r} of {repository}: name a branch, tag or commit"
        )
    if isinstance(error, errors.GatedRepoError):
        return ValueError(
            f"{repository} is gated: accept its terms at {endpoint}/{repository}, and "
            "use a token of that account"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(
            f"no repository {repository} at {endpoint}, or none that {token} may see: "
            "check the name; for a private one set HF_TOKEN, or log in by "
            "`hf auth login`"
        )
    if status == 401:
        return ValueError(
            f"{endpoint} refuses the token: make a new one at "
            f"{endpoint}/settings/tokens, and set HF_TOKEN or log in by `hf auth login`"
        )
    if status == 403:
        return ValueError(
            f"{token} may not {doing} {repository}: use one with write access to "
            f"{repository.partition('/')[0]}"
        )
    if status in (409, 412):
        return ValueError(
            f"{repository} was made or changed by someone else meanwhile: run the "
            "command again"
        )
    if status == 429 or status >= 500:
        return ValueError(
            f"{endpoint} answered {status}, so it could not {doing} {repository}: try "
            "again later"
        )
    said = error.server_message or one_line(error)
    return ValueError(f"cannot {doing} {repository}: {endpoint} says {said!r}")


def one_line(error: BaseException) -> str:
    """Returns what an error says, without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
