"""How much the tests try: `make test-long` tries ten times as many examples."""

import os

LONG = "TRY_MORE" in os.environ
"""Whether this is `make test-long`."""


def examples(few: int) -> int:
    """Returns how many examples a property is tried on."""
    return few * 10 if LONG else few
