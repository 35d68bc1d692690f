"""The child processes of an export, and the export itself as one: `python -m signet.training.export STEP …`."""

import ctypes
import signal
import sys
import traceback
from pathlib import Path

from signet.serving.errors import SignetError
from signet.training.export.errors import ExportFailed, said_by
from signet.training.export.export import ALLOW_BREAKING, export
from signet.training.export.steps import serve


def main(step: str, *arguments: str) -> int:
    """`export TRAINED MODELS_DIR [--allow-breaking]`, `steps`, and in its forks `write TRAINED FOLDER` and `verify FOLDER`.

    Exit code 1 with a sentence on stdout.
    """
    if sys.platform == "linux":  # do not outlive the training that asked for it; an export removes its folder first
        ctypes.CDLL(None).prctl(1, signal.SIGINT if step == "export" else signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    folders = [Path(argument) for argument in arguments if argument != ALLOW_BREAKING]
    try:
        if step == "steps":
            return serve(main)
        first, *second = folders
        if step == "export":
            sys.stdout.write(str(export(first, second[0], allow_breaking=ALLOW_BREAKING in arguments)))
        elif step == "write":
            from signet.training.export.write import write  # the children need TensorFlow

            write(first, second[0])
        else:
            from signet.training.export.verify import verify

            if problem := verify(first):
                raise ExportFailed(f"the export is not what the trained model is: {problem}; nothing was published")
    except SignetError as error:
        sys.stdout.write(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # TensorFlow, Keras and the model's own code raise what they like
        traceback.print_exc()  # for the log of whoever started this process
        sys.stdout.write(said_by(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
