"""In which form attention is computed: chosen by the devices, and why not another."""

import re
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

AttentionForm: TypeAlias = Literal["plain", "chunked", "cudnn", "splash"]
"""How attention is computed.

"plain" writes the scores [H, T, S] of each row. "chunked" does so for up to `LONG`
queries; more attend a chunk at a time, and are scored again on the way back. Of the
kernels, which keep scores on the chip, "cudnn" is for NVIDIA's GPUs and "splash" for
TPUs. What a kernel is not able to do, or not made for, is chunked.
"""

Asked: TypeAlias = Literal["auto"] | AttentionForm
"""What a setting may say: a form, or "auto" for the best that is able."""

LONG = 2048
"""Queries of a row that attend all at once; more do so in chunks."""


class Needs(NamedTuple):
    """What the attention of a model needs of a form, in some of its layers.

    Attributes:
        head_width: Width K of one head.
        capped: Whether scores have a soft cap.
        biased: Whether each head adds a bias of its own to the scores.
    """

    head_width: int
    capped: bool = False
    biased: bool = False


class Device(NamedTuple):
    """What kind of device computes.

    Attributes:
        platform: As JAX calls it: "cpu", "gpu" or "tpu".
        capability: CUDA's compute capability of an NVIDIA GPU; None of all else.
    """

    platform: str
    capability: tuple[int, int] | None = None


def device_of(device: Any) -> Device:
    """Returns what kind of device one of `jax.devices` is."""
    # An AMD GPU says "gfx942" in its place.
    capability = re.fullmatch(
        r"(\d+)\.(\d+)", str(getattr(device, "compute_capability", ""))
    )
    if capability is None:
        return Device(device.platform)
    return Device(device.platform, (int(capability[1]), int(capability[2])))


def choose_form(
    asked: Asked, needs: Needs, *, dtype: str, device: Device
) -> AttentionForm:
    """Chooses the form of a model's attention: the one place where this is decided.

    Args:
        asked: What the setting says.
        needs: What the model needs.
        dtype: Dtype that it computes in.
        device: What it computes on.

    Raises:
        ValueError: If a form is asked for that is not able to; it says why.
    """
    check_form(asked)
    if asked == "auto":
        kernels: dict[str, AttentionForm] = {"gpu": "cudnn", "tpu": "splash"}
        form = kernels.get(device.platform, "chunked")
        return "chunked" if refusal(form, needs, dtype, device) else form
    reason = refusal(asked, needs, dtype, device)
    if reason:
        raise ValueError(
            f"attention {asked!r}: {reason}; use 'auto', which takes what is able"
        )
    return asked


def check_form(asked: str) -> None:
    """Raises ValueError unless a setting says "auto" or a form."""
    known = ["auto", *get_args(AttentionForm)]
    if asked not in known:
        raise ValueError(f"attention {asked!r}: use one of {known}")


def refusal(
    form: AttentionForm, needs: Needs, dtype: str, device: Device
) -> str | None:
    """Returns why a model's attention cannot have a form; None where it can.

    Source: `check_is_flash_attention` in jax/_src/cudnn/fused_attention_stablehlo.py of
    JAX 0.10, for widths and capabilities.
    """
    if form == "cudnn":
        return _refusal_of_cudnn(needs, dtype, device)
    if form == "splash":
        if device.platform != "tpu":
            return f"the kernel is for TPUs, and the device is a {device.platform}"
        return _biased("splash attention") if needs.biased else None
    return None


def _refusal_of_cudnn(needs: Needs, dtype: str, device: Device) -> str | None:
    if device.platform != "gpu":
        return f"cuDNN is for NVIDIA's GPUs, and the device is a {device.platform}"
    if device.capability is None:
        return "cuDNN is for NVIDIA's GPUs, and this one is not"
    if device.capability < (8, 0):
        major, minor = device.capability
        return (
            "cuDNN's kernel needs compute capability 8.0, and the GPU has "
            f"{major}.{minor}"
        )
    if dtype != "bfloat16":
        return f"cuDNN's kernel computes in bfloat16, and the model in {dtype}"
    if needs.capped:
        return "cuDNN's kernel has no soft cap, which this model's scores have"
    if needs.biased:
        return _biased("cuDNN's kernel")
    widest = 256 if device.capability >= (9, 0) else 128
    if needs.head_width % 8 or needs.head_width > widest:
        return (
            f"cuDNN's kernel takes heads of a width that 8 divides, up to {widest} on "
            f"this GPU, and the model's is {needs.head_width}"
        )
    return None


def _biased(kernel: str) -> str:
    return (
        f"{kernel} would need each head's bias written out for each row, and that is "
        "as large as the scores"
    )
