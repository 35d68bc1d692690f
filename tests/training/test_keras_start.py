import json
import subprocess
import sys

from signet.training.keras_start import OTHERS

_START = """
import json, sys
from signet.training import keras_start
keras_start.start()
import keras
brought = [name for name in keras_start.OTHERS if name in sys.modules]
import pandas, sklearn
print(json.dumps([brought, keras.backend.backend(), "tensorflow" in sys.modules, pandas.__name__, sklearn.__name__]))
"""


def test_keras_comes_without_what_it_only_has_wrappers_for_and_others_may_import_that():
    """Each of these is installed here, and a plain `import keras` brings them all."""
    assert OTHERS == ("jax", "matplotlib", "pandas", "sklearn")
    done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], "tensorflow", True, "pandas", "sklearn"]
