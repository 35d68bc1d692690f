"""The two pictures of an export: what the network looks like, and how it learnt.

    model    ─▶ model.png      layers, shapes and dtypes, by keras.utils.plot_model: needs the program `dot`
    epochs   ─▶ history.png    a small panel for each measure; what is measured on validation rows beside it, dashed

A picture is a courtesy: where one cannot be drawn the function says why, and the export goes on without.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOTS_PER_INCH = 100
COLUMNS = 3
MOST_LAYERS = 250
"""A network of more layers is not drawn: it takes minutes, and nobody could read the picture."""


def network(model: Any, path: Path) -> str | None:
    """Draw the layers of a Keras model; None, or why there is no picture."""
    import keras

    if shutil.which("dot") is None:
        return "there is no model.png: graphviz's program `dot` was not found (Debian: apt-get install graphviz)"
    layers = sum(1 for _ in model._flatten_layers())
    if layers > MOST_LAYERS:
        return f"there is no model.png: {layers} layers make no picture that can be read"
    try:
        keras.utils.plot_model(
            model, path, show_shapes=True, show_dtype=True, show_layer_names=True, expand_nested=True, dpi=DOTS_PER_INCH
        )
    except Exception as error:  # noqa: BLE001  # plot_model and dot fail in many ways; none is worth an export
        path.unlink(missing_ok=True)
        return (
            f"there is no model.png: Keras could not draw it ({str(error).splitlines()[0] if str(error) else error!r})"
        )
    return None


def learning_curve(epochs: Sequence[Mapping[str, float]], path: Path) -> str | None:
    """Draw what each epoch reported; None, or why there is no picture."""
    names = sorted((name for name in (epochs[-1] if epochs else {}) if not name.startswith("val_")), key=_loss_first)
    if not names:
        return "there is no history.png: no epochs are reported"
    from matplotlib.figure import Figure  # without pyplot: no display, no state

    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(1 + 3.4 * columns, 0.6 + 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for name, panel in zip(names, panels, strict=False):
        _panel(panel, name, epochs)
    for panel in list(figure.axes)[len(names) :]:
        panel.remove()
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return None


def _loss_first(name: str) -> tuple[bool, str]:
    return name != "loss", name


def _panel(panel: Any, name: str, epochs: Sequence[Mapping[str, float]]) -> None:
    numbers = range(1, len(epochs) + 1)
    marker = "o" if len(epochs) < 3 else ""
    validation = f"val_{name}"
    panel.plot(numbers, [epoch.get(name) for epoch in epochs], marker=marker, label="learning")
    if any(validation in epoch for epoch in epochs):
        held = [epoch.get(validation) for epoch in epochs]
        panel.plot(numbers, held, marker=marker, linestyle="--", label="validation")
        panel.legend(frameon=False, fontsize="small")
    panel.set_title(name.replace("_", " "), fontsize="medium")
    panel.set_xlabel("epoch", fontsize="small")
    panel.set_xlim(1 - 0.02 * len(epochs), 1.02 * len(epochs))
    panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    panel.grid(alpha=0.3)
