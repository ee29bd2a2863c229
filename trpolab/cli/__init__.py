"""The terminal: `trpolab lab | train | bench | doctor`."""

from trpolab.cli.main import main
