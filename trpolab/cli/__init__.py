"""The terminal: `trpolab lab | train | watch | play | export | import | bench | doctor`."""

from trpolab.cli.main import main
