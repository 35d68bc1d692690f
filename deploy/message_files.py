"""Copy TensorFlow's message files, without TensorFlow: `python message_files.py FOLDER`.

    import protos ──▶ what that put into sys.modules ──▶ FOLDER/tensorflow/core/…, FOLDER/tensorflow_serving/…

FOLDER then belongs on `sys.path` in the place of the packages tensorflow and tensorflow-serving-api. It has no
`tensorflow/__init__.py`: to Python that is a namespace, and `serving/tensors/protos.py` works with it as with the real package.
"""

import shutil
import sys
from pathlib import Path

from signet.serving.tensors.protos import model_service_pb2_grpc, prediction_service_pb2_grpc  # noqa: F401  # with what they import

PACKAGES = ("tensorflow", "tensorflow_serving")


def copy(folder: Path) -> int:
    """Lay out below `folder` what is imported of `PACKAGES`, as below site-packages. Gives how many files."""
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in PACKAGES}
    for name, module in modules.items():
        source = Path(str(module.__file__))
        inside = name.split(".") if source.name == "__init__.py" else name.split(".")[:-1]
        target = folder.joinpath(*inside, source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return len(modules)


if __name__ == "__main__":
    print(f"{copy(Path(sys.argv[1]))} message files in {sys.argv[1]}")
