"""Where in the endless order of training batches a run is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Position:
    """Where in the endless order of batches to go on.

    Attributes:
        epoch: Passes over the split that are behind.
        batch: Batches of this epoch that are behind; all of them is the next epoch.
    """

    epoch: int = 0
    batch: int = 0


START = Position()
