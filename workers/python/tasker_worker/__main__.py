"""/usr/bin/python3 -m tasker_worker"""

import sys

from .cli import main


def run() -> None:
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
