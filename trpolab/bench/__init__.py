"""The benchmarks behind `trpolab bench`: ratios measured in one run, printed with what they must reach."""

from trpolab.bench.runner import about, names, run
from trpolab.bench.table import Report, Table, machine
