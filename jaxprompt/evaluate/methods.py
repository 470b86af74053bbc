"""The names of the ways to predict, and which numbers they take."""

METHODS = ("greedy", "beam", "nucleus", "rank")


def check_method(
    method: str,
    *,
    length: int,
    beams: int,
    alpha: float,
    top_p: float,
    temperature: float,
) -> None:
    """Refuses what `score.make_predict` has no program for; see there.

    Raises:
        ValueError: If the method is unknown, or a number is out of range.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: use one of {list(METHODS)}")
    if length < 1 or beams < 1 or not 0 <= alpha < float("inf"):
        raise ValueError(
            f"target length {length}, beams {beams}, alpha {alpha}: use a length and "
            "beams of 1 or more, and a finite alpha of 0 or more"
        )
    if not (0 < top_p <= 1 and 0 < temperature < float("inf")):
        raise ValueError(
            f"top_p {top_p}, temperature {temperature}: use a probability above 0, up "
            "to 1, and a temperature above 0"
        )
