"""Rows from TensorFlow Datasets, as plain Python values."""

from typing import Any

import numpy as np

from jaxprompt.data.official.libraries import seqio
from jaxprompt.data.read.sources import Features


def read_tfds(name: str, split: str) -> list[Features]:
    """Reads one split from TensorFlow Datasets, downloading it if need be.

    Args:
        name: Data set, config and version, such as "glue/sst2:2.0.0".
        split: The split, as TFDS calls it.

    Returns:
        The rows in TFDS's order.

    Raises:
        ValueError: If the data set is not prepared and cannot be downloaded.
    """
    source = seqio.TfdsDataSource(tfds_name=name, splits=(split,))
    try:
        rows = source.get_dataset(split, shuffle=False).as_numpy_iterator()
        return [_plain(row) for row in rows]
    except Exception as err:
        # TFDS raises a dozen unrelated types here: network, disk, checksum, format.
        raise ValueError(
            f"TFDS has no {name} prepared and cannot download it "
            f"({type(err).__name__}: {_first_line(err)}): set TFDS_DATA_DIR to a "
            "folder that holds it, or DATA_DIR to a folder of the official files"
        ) from err


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(x) for name, x in value.items()}
        case np.ndarray():
            return [_plain(x) for x in value]
        case bytes():
            return value.decode()
        case np.generic():
            return value.item()
    return value


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or ["no message"])[0]
