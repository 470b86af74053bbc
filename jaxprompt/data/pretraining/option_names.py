"""Names of options: letters if the vocabulary has each as one token, else numbers."""

from jaxprompt.data.vocabulary.vocabulary import Vocabulary

LETTERS = "ABCDEFGHIJKLMNOP"


def option_names(
    vocabulary: Vocabulary, count: int, space: str = ""
) -> tuple[tuple[str, ...], list[str]]:
    """Names options.

    Args:
        vocabulary: The backbone's vocabulary.
        count: How many.
        space: What stands before a name where it is the answer.

    Returns:
        The names, and what to say of them: empty for letters.

    Raises:
        ValueError: If some numbers are not one token each either.
    """
    letters = tuple(LETTERS[:count])
    several = _of_several_tokens(vocabulary, letters, space)
    if not several:
        return letters, []
    numbers = tuple(str(number) for number in range(1, count + 1))
    wrong = _of_several_tokens(vocabulary, numbers, space)
    if wrong:
        raise ValueError(
            f"{count} options: neither {', '.join(several)} nor {', '.join(wrong)} are "
            "one token each in this vocabulary: use fewer options"
        )
    return numbers, [
        f"options are called by numbers, as {', '.join(several)} are not one token each"
    ]


def _of_several_tokens(
    vocabulary: Vocabulary, names: tuple[str, ...], space: str
) -> list[str]:
    return [name for name in names if len(vocabulary.encode(f"{space}{name}")) != 1]
