"""Prompts as points in a plane, by principal components or t-SNE, coloured by type."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxprompt.report.plots.drawing import (
    COLOURS,
    INK,
    MARKERS,
    add_legend_below,
    new_figure,
    style,
    svg_element,
)
from jaxprompt.transfer.categories import category_of

Points = Float[np.ndarray, "prompts 2"]


def principal_plane(rows: Float[np.ndarray, "prompts P D"]) -> tuple[Points, float]:
    """Projects prompts on their two first principal components.

    Returns:
        The points, and the share of the variance that they keep, 0 to 1.
    """
    from sklearn.decomposition import PCA

    flat = rows.reshape(len(rows), -1).astype(np.float64)
    model = PCA(n_components=2, svd_solver="full")
    points = model.fit_transform(flat)
    return points, float(np.nansum(model.explained_variance_ratio_))


def neighbour_plane(rows: Float[np.ndarray, "prompts P D"], *, seed: int = 0) -> Points:
    """Projects prompts by t-SNE, which keeps neighbours and no distances.

    Args:
        rows: Three prompts or more.
        seed: Of its start.

    Source: van der Maaten and Hinton 2008. The perplexity is a third of the prompts,
    at most 30.
    """
    from sklearn.manifold import TSNE

    flat = rows.reshape(len(rows), -1).astype(np.float64)
    perplexity = min(30.0, len(rows) / 3)
    model = TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed
    )
    return model.fit_transform(flat).astype(np.float64)


def plane_svg(
    points: Points, names: Sequence[str], tasks: Sequence[str], *, name: str, title: str
) -> str:
    """Draws points as an <svg> element, with a colour and a sign for each type.

    Args:
        points: A point for each prompt.
        names: What each is called.
        tasks: The task of each.
        name: Letters and "_", unlike any other figure's of the page.
        title: Above it.
    """
    figure = new_figure(6, 5, INK)
    axes = figure.add_subplot()
    types = [category_of(task) or "other" for task in tasks]
    handles = {}
    for number, kind in enumerate(dict.fromkeys(types)):
        here = np.array([one == kind for one in types])
        handles[kind] = axes.scatter(
            *points[here].T,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
        )
    for (x, y), label in zip(points.tolist(), names, strict=True):
        axes.annotate(
            label,
            (x, y),
            xytext=(4, 4),
            textcoords="offset points",
            color=INK,
            fontsize="small",
            parse_math=False,
        )
    style(axes, INK, title=title)
    add_legend_below(figure, handles, INK)
    return svg_element(figure, name=name, label=title)
