"""What this project is called where packages are installed from, and which version of it is running."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "signet-serving"
"""The name for `pip install`; the package that is imported is `signet`."""


def running_version() -> str:
    """The version that is installed, such as 1.2.0; "0" where the files are used without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
