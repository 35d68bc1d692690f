"""Keras without what it imports only in case somebody has it: a start of two seconds of processor time in place of three.

Keras and TensorFlow import these packages whole where they are installed, for wrappers, plots and converters that nothing in
our processes uses; while they are imported here, the packages seem not to be there. Whoever imports one later gets it.
"""

import os
import sys

OTHERS = ("jax", "matplotlib", "pandas", "sklearn")


def start() -> None:
    """Import Keras with its backend. For processes of our own, before they have threads: an import elsewhere would fail."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    hidden = [name for name in OTHERS if name != backend and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: the import system's word for "there is none"
    try:
        import keras  # noqa: F401  # with TensorFlow, unless the backend is another
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
