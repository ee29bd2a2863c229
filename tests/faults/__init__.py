"""Faults planted in the code, one at a time: each must turn a check red that the true code passes."""
