"""Diagnoses of people who looked at one chart only."""

RIGHT = {"A": 4, "B": 1, "C": 2, "D": 5, "E": 3}


def but(**changed):
    return lambda run: {**RIGHT, **changed}[run]


WRONG = {
    "diagnosis": {
        "A and E taken for each other": but(A=3, E=4),
        "δ too small, because nothing moves": but(B=6),
        "conjugate gradient in the one that never moves": but(B=3),
        "the value function in the one that never learns": but(C=7),
        "small batches in the jumpy one": but(D=8),
        "a plain gradient in the jumpy one": but(D=3),
        "B and C taken for each other": but(B=2, C=1),
        "a number that there is not": but(E=9),
        "all the same": lambda run: 5,
        "one run forgotten": lambda run: {name: cause for name, cause in RIGHT.items() if name != "D"}[run],
        "in words": lambda run: "the line search",
    }
}
