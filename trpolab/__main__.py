"""`python -m trpolab`: the terminal."""

import sys

from trpolab.cli import main

if __name__ == "__main__":
    sys.exit(main())
