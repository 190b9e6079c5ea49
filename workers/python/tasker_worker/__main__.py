"""/usr/bin/python3 -m tasker_worker"""

import io
import sys

# What to install for each library that the worker needs: of Debian, and of PyPI.
PACKAGES = {"zmq": ("python3-zmq", "pyzmq"), "yaml": ("python3-yaml", "PyYAML")}
EXIT_USAGE = 2


def run() -> None:
    # What a handler prints is seen when it is printed, also through a pipe.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        from .cli import main
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        debian, pypi = PACKAGES[error.name]
        print(
            f"tasker-worker: {sys.executable} has no module {error.name}: install it with"
            f" `{sys.executable} -m pip install {pypi}`, or with `apt-get install {debian}` for"
            " /usr/bin/python3",
            file=sys.stderr,
        )
        sys.exit(EXIT_USAGE)
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
