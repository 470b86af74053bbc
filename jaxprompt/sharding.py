"""Where arrays live: the device mesh, and one ordered table of sharding rules."""

import functools
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxprompt.parameters import KINDS, PROMPT, ParameterKind

DATA, MODEL = "data", "model"

AnyMesh: TypeAlias = jax.sharding.Mesh | jax.sharding.AbstractMesh
"""Devices in a grid, or the sizes of a grid alone."""

Rules: TypeAlias = Sequence[tuple[str, jax.P]]
"""(pattern over the whole path, spec); the first match wins, no match is an error."""


def _spec_of(kind: ParameterKind) -> jax.P:
    if kind.split is None:
        return jax.P()
    return jax.P(*(MODEL if axis == kind.split else None for axis in kind.axes.split()))


RULES: Rules = (
    (r"(^|.*/)(prompt|head)(/.*)?", _spec_of(PROMPT)),
    *(
        # An int8 matrix is two leaves, split alike.
        (
            rf"(.*/)?{name}{'' if kind.summed is None else '(/values|/scale)?'}",
            _spec_of(kind),
        )
        for name, kind in KINDS.items()
    ),
)
"""Of every model: heads and feed-forward columns over the model axis, and the rows of
both vocabulary matrices too; see `parameters`."""


def _also_over_data(spec: jax.P) -> jax.P:
    """Splits over the data axis what the model axis leaves whole of a matrix."""
    *stack, rows, columns = (None, None, *spec)
    if rows == MODEL and columns is None:
        return jax.P(*stack[2:], MODEL, DATA)
    if columns == MODEL and rows is None:
        return jax.P(*stack[2:], DATA, MODEL)
    return spec


RULES_OVER_DATA: Rules = tuple(
    (pattern, _also_over_data(spec)) for pattern, spec in RULES
)
"""The same, with every matrix split over the data axis too.

Each device then holds 1 / (data * model) of the weights, and gathers a layer's when it
comes to it.

Source: Rajbhandari et al. 2020, ZeRO stage 3 (arXiv:1910.02054), for frozen weights.
"""


def make_mesh(
    data: int = -1, model: int = 1, *, devices: Sequence[Any] | None = None
) -> jax.sharding.Mesh:
    """Arranges the devices of every host in a (data, model) grid.

    Args:
        data: Devices along the data axis; -1 means all that `model` leaves.
        model: Devices along the model axis.
        devices: Which devices; None for all there are.

    Returns:
        A mesh with the axes "data" and "model".

    Raises:
        ValueError: If the two sizes do not multiply to the number of devices.
    """
    num_devices = jax.device_count() if devices is None else len(devices)
    data, model = mesh_shape(data, model, num_devices)
    # Auto axes on purpose: the compiler propagates shardings through the layers, which
    # then read the same on one device and on many.
    auto = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((data, model), (DATA, MODEL), axis_types=auto, devices=devices)


def abstract_mesh(data: int, model: int) -> jax.sharding.AbstractMesh:
    """Makes a mesh of no devices, by which shapes are split as by `make_mesh`'s."""
    return jax.sharding.AbstractMesh((data, model), (DATA, MODEL))


def mesh_shape(data: int, model: int, num_devices: int) -> tuple[int, int]:
    """Returns the sizes of the data and the model axis; see `make_mesh`."""
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
    return data, model


def shardings(tree: Any, mesh: AnyMesh, rules: Rules = RULES) -> Any:
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
        # A scale has size 1 along an axis that its matrix may be split over.
        splits = zip(leaf.shape, spec, strict=False)
        spec = jax.P(*(None if size == 1 else axis for size, axis in splits))
        for size, axis in zip(leaf.shape, spec, strict=False):
            if axis is not None and size % mesh.shape[axis]:
                raise ValueError(
                    f"{name} {leaf.shape}: {size} is not divisible by the {axis} axis "
                    f"({mesh.shape[axis]} devices): choose a size that divides {size}"
                )
        return jax.NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(place_leaf, tree)


def _matching_spec(name: str, rules: Rules) -> jax.P:
    for pattern, spec in rules:
        if re.fullmatch(pattern, name):
            return spec
    raise ValueError(f"no sharding rule matches {name}: add one to the rules")


def place(tree: Any, mesh: jax.sharding.Mesh, rules: Rules = RULES) -> Any:
    """Moves every leaf, the same on every host, to its place; see `shardings`."""
    return jax.tree.map(_place_whole, tree, shardings(tree, mesh, rules))


def _place_whole(leaf: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    if isinstance(leaf, jax.Array) or jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    # Each host reads the parts of its own devices out of the whole.
    return jax.make_array_from_callback(leaf.shape, sharding, lambda at: leaf[at])


def constrain(
    x: jax.Array, mesh: jax.sharding.Mesh | None, *axes: str | None
) -> jax.Array:
    """Says over which axes of the mesh an activation is split; nothing without one."""
    if mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, jax.NamedSharding(mesh, jax.P(*axes)))


def place_batch(batch: Any, mesh: jax.sharding.Mesh, groups: int = 1) -> Any:
    """Splits this host's rows of a batch over the data axis.

    Args:
        batch: NumPy arrays whose first axis is this process's share of the rows B.
        mesh: The devices, from `make_mesh`.
        groups: Equal groups that the rows of each process consist of, as the members
            of a bank do. In the result each group is whole, one below the other, as
            if one process had placed all rows.

    Returns:
        The same tree of global `jax.Array`s.
    """
    sharding = jax.NamedSharding(mesh, jax.P(DATA))
    placed = jax.tree.map(
        lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch
    )
    _, hosts = host_share(mesh)
    if groups == 1 or hosts == 1:
        return placed
    return regroup(placed, hosts, groups, sharding)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def regroup(
    batch: Any, hosts: int, groups: int, sharding: jax.sharding.Sharding
) -> Any:
    """Orders rows by group and then by host, which come by host and then by group.

    Args:
        batch: Arrays whose first axis is the rows B.
        hosts: Processes that each brought an equal share of the rows.
        groups: Equal groups that each share consists of.
        sharding: Of the rows, before and after.
    """

    def reorder(rows: jax.Array) -> jax.Array:
        split = rows.reshape(hosts, groups, -1, *rows.shape[1:])
        return split.swapaxes(0, 1).reshape(rows.shape)

    ordered = jax.tree.map(reorder, batch)
    return jax.lax.with_sharding_constraint(ordered, sharding)


def host_share(mesh: jax.sharding.Mesh) -> tuple[int, int]:
    """Says which share of a batch's rows this process has to bring.

    Processes whose devices only split the weights have the same share.

    Returns:
        (index, count) for `data.rows.batches.train_batches` and `place_batch`.

    Raises:
        ValueError: If the shares of two processes overlap, or differ in size.
    """
    rows_of: dict[int, set[int]] = {}
    for (row, _), device in np.ndenumerate(mesh.devices):
        rows_of.setdefault(device.process_index, set()).add(row)
    shares = sorted({tuple(sorted(rows)) for rows in rows_of.values()})
    if sum(map(len, shares)) != mesh.shape[DATA] or len(set(map(len, shares))) > 1:
        raise ValueError(
            f"a data axis of {mesh.shape[DATA]} over {len(rows_of)} processes gives "
            "them shares of a batch that overlap: use a data axis that the number of "
            "processes divides, or of 1"
        )
    return shares.index(tuple(sorted(rows_of[jax.process_index()]))), len(shares)


def place_whole_batch(batch: Any, mesh: jax.sharding.Mesh) -> Any:
    """Splits a batch that every host has whole over the data axis."""
    sharding = jax.NamedSharding(mesh, jax.P(DATA))
    return jax.tree.map(lambda rows: _place_whole(rows, sharding), batch)


def fetch(array: jax.Array | np.ndarray) -> np.ndarray:
    """Brings an array of all hosts to this one; all of them must ask for it."""
    if isinstance(array, np.ndarray):
        return array
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def check_batch_size(size: int, mesh: AnyMesh, accumulate: int = 1) -> None:
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
