"""What a person sees in a notebook: the live lab."""

from trpolab.lab.lab import Lab
