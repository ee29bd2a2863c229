"""Rewards that ask for something else, and ends that are none."""

WRONG = {
    "reward": {
        "pays by distance": lambda before, after, landed, lost: -0.1 * after + 10 * landed - 10 * lost,
        "pays at the end alone": lambda before, after, landed, lost: 10.0 * landed,
        "pays for being near": lambda before, after, landed, lost: 2.0 - after + 10 * landed,
        "praises and never blames": lambda before, after, landed, lost: 10 * max(0.0, before - after) + 10 * landed,
        "turned over": lambda before, after, landed, lost: after - before + landed,
        "pays for time": lambda before, after, landed, lost: 1.0 + before - after + 5 * landed,
        "punishes the landing": lambda before, after, landed, lost: 10 * (before - after) - 20 * landed,
        "pays for being lost": lambda before, after, landed, lost: 10 * (before - after) + 30 * (landed or lost),
        "a truth value": lambda before, after, landed, lost: after < before,
    },
    "ending": {
        "the clock ends the world": lambda away, speed, lost, age: (
            lost or (away < 0.15 and speed < 0.3) or age >= 200, age >= 200
        ),
        "everything is a cut": lambda away, speed, lost, age: (
            False, lost or (away < 0.15 and speed < 0.3) or age >= 200
        ),
        "swapped": lambda away, speed, lost, age: (age >= 200, lost or (away < 0.15 and speed < 0.3)),
        "however fast": lambda away, speed, lost, age: (lost or away < 0.15, age >= 200),
        "however far": lambda away, speed, lost, age: (lost or speed < 0.3, age >= 200),
        "one step late": lambda away, speed, lost, age: (lost or (away < 0.15 and speed < 0.3), age > 200),
        "one or the other": lambda away, speed, lost, age: (
            lost or (away < 0.15 and speed < 0.3), age >= 200 and not (away < 0.15 and speed < 0.3)
        ),
        "one answer": lambda away, speed, lost, age: lost or age >= 200,
        "never lost": lambda away, speed, lost, age: (away < 0.15 and speed < 0.3, age >= 200),
    },
}  # fmt: skip
