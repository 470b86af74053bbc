"""Where arrays live: the device mesh, and one ordered table of sharding rules."""

import re
from collections.abc import Sequence
from typing import Any

import jax

DATA, MODEL = "data", "model"

RULES: tuple[tuple[str, jax.P], ...] = (
    # Trainable leaves are small: every device holds all of them.
    (r"(^|.*/)prompt(/.*)?", jax.P()),
    # The frozen T5: heads and feed-forward columns over the model axis, and the rows
    # of both vocabulary matrices too. Stacked leaves carry the layer axis N first.
    (r".*embedding", jax.P(MODEL, None)),
    (r".*logits", jax.P(None, MODEL)),
    (r".*/(query|key|value|gate|up)", jax.P(None, None, MODEL)),
    (r".*/(out|down)", jax.P(None, MODEL, None)),
    (r".*(norm|relative_bias)", jax.P()),
)
"""(pattern over the whole path, spec); the first match wins, no match is an error."""


def make_mesh(data: int = -1, model: int = 1) -> jax.sharding.Mesh:
    """Arranges the devices of every host in a (data, model) grid.

    Args:
        data: Devices along the data axis; -1 means all that `model` leaves.
        model: Devices along the model axis.

    Returns:
        A mesh with the axes "data" and "model".

    Raises:
        ValueError: If the two sizes do not multiply to the number of devices.
    """
    num_devices = jax.device_count()
    if model < 1 or (data != -1 and data < 1):
        raise ValueError(
            f"mesh data={data}, model={model}: use positive sizes, or data=-1 for the "
            "devices that the model axis leaves"
        )
    if data == -1:
        data = max(num_devices // model, 1)
    if data * model != num_devices:
        raise ValueError(
            f"mesh data={data} x model={model} = {data * model} devices, but there are "
            f"{num_devices}: choose a model size that divides it, and data=-1"
        )
    # Auto axes on purpose: the compiler propagates shardings through the layers, which
    # then read the same on one device and on many.
    auto = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((data, model), (DATA, MODEL), axis_types=auto)


def shardings(
    tree: Any, mesh: jax.sharding.Mesh, rules: Sequence[tuple[str, jax.P]] = RULES
) -> Any:
    """Gives every leaf its place on the mesh.

    Args:
        tree: Arrays or `jax.ShapeDtypeStruct`s.
        mesh: The devices, from `make_mesh`.
        rules: Ordered (pattern, spec) pairs.

    Returns:
        The same tree with a `jax.NamedSharding` at every leaf.

    Raises:
        ValueError: If no rule matches a leaf, or if an axis of the mesh does not
            divide the dimension that it should split.
    """

    def place_leaf(path: tuple[Any, ...], leaf: Any) -> jax.NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = _matching_spec(name, rules)
        for size, axis in zip(leaf.shape, spec, strict=False):
            if axis is not None and size % mesh.shape[axis]:
                raise ValueError(
                    f"{name} {leaf.shape}: {size} is not divisible by the {axis} axis "
                    f"({mesh.shape[axis]} devices): choose a size that divides {size}"
                )
        return jax.NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place_leaf, tree)


def _matching_spec(name: str, rules: Sequence[tuple[str, jax.P]]) -> jax.P:
    for pattern, spec in rules:
        if re.fullmatch(pattern, name):
            return spec
    raise ValueError(f"no sharding rule matches {name}: add one to the rules")


def place(
    tree: Any, mesh: jax.sharding.Mesh, rules: Sequence[tuple[str, jax.P]] = RULES
) -> Any:
    """Moves every leaf to its place on the mesh; see `shardings`."""
    return jax.device_put(tree, shardings(tree, mesh, rules))


def place_batch(batch: Any, mesh: jax.sharding.Mesh) -> Any:
    """Splits this host's rows of a batch over the data axis.

    Args:
        batch: NumPy arrays whose first axis is this process's share of the rows B.
        mesh: The devices, from `make_mesh`.

    Returns:
        The same tree of global `jax.Array`s.
    """
    sharding = jax.NamedSharding(mesh, jax.P(DATA))
    return jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch
    )


def check_batch_size(size: int, mesh: jax.sharding.Mesh, accumulate: int = 1) -> None:
    """Raises ValueError unless the data axis divides every microbatch."""
    share = mesh.shape[DATA] * accumulate
    if size < 1 or size % share:
        below, above = size // share * share, (size // share + 1) * share
        use = f"{below} or {above}" if below > 0 else f"{above}"
        steps = f" x {accumulate} accumulation steps" if accumulate > 1 else ""
        raise ValueError(
            f"batch size {size} is not divisible by the data axis "
            f"({mesh.shape[DATA]} devices{steps}): use {use}, or another mesh"
        )
