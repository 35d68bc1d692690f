"""A registered Keras model of MLflow's becomes an export: `python mlflow_recipe.py FOLDER` in an environment with both.

The last two lines are the recipe; those before make a registry with a model in it.
"""

import json
import sys
from pathlib import Path

import keras
import mlflow
import numpy as np

import signet

folder = Path(sys.argv[1])
mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
size, rooms = keras.Input((1,), name="size"), keras.Input((1,), name="rooms")
both = keras.layers.Concatenate()([size, rooms])
model = keras.Model({"size": size, "rooms": rooms}, {"price": keras.layers.Dense(1)(both)})
mlflow.create_experiment("houses", artifact_location=str(folder / "artifacts"))
mlflow.set_experiment("houses")
with mlflow.start_run():
    mlflow.tensorflow.log_model(model, name="prices", registered_model_name="prices")

registered = mlflow.tensorflow.load_model("models:/prices/1")
exported = signet.export(registered, "prices", folder / "models")

rows = {"size": np.array([[80.0]], np.float32), "rooms": np.array([[3.0]], np.float32)}
answer = keras.ops.convert_to_numpy(model(rows)["price"]).tolist()
print(json.dumps({"path": str(exported.path), "answer": answer, "digest": exported.card["digest"]["sha256"]}))
