"""The terminal: `trpolab lab | train | watch | export | import | bench | doctor`."""

from trpolab.cli.main import main
