"""A model that is registered in MLflow, exported and served."""

import json
import subprocess

import numpy as np
import pytest

from signet.serving.engine import loading
from tests.third_party import environment


@pytest.mark.long
def test_a_registered_model_is_exported_by_two_lines(tmp_path):
    python = environment.python("mlflow", borrows=True)
    done = subprocess.run(
        [python, environment.HERE / "mlflow_recipe.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["path"] == str(tmp_path / "models" / "prices" / "1")
    servable = loading.Loader()("prices", 1, tmp_path / "models" / "prices" / "1")
    try:
        rows = {"rooms": np.array([[3]], np.float32), "size": np.array([[80]], np.float32)}
        answers = servable.predict(servable.signatures["serving_default"], rows)
    finally:
        servable.close()
    np.testing.assert_allclose(answers["price"], said["answer"], rtol=1e-4)
