"""Exercises that check themselves: `from trpolab.workshop import check, hint`.

    check.conjugate_gradient(my_function)   # which properties hold, and what is wrong with those that don't
    hint(1)                                 # the first hint of the exercise whose notebook this is

How to write an exercise. It is a pair of files in `exercises/`: `e05_conjugate_gradient.md` is the notebook, hints and
solution included, and `e05_conjugate_gradient.py` has a check for each function that is to be written.

The notebook is Markdown with a head (`title`, `minutes`, and the functions as they are called). Fences that begin with
```python are cells: plain ones always run; `picture` ones are folded; `stub` and `solution` ones are the two versions
of the student's cell; a `check` one is the line that checks; a `real` one lets the student's function do real work.
Pictures, checks and real work are left out when a folder of notebooks is marked. Fences that begin with ```hint are
handed out by `hint(1)`, `hint(2)` ... `trpolab workshop build` makes `notebooks/workshop/` from all of them; a test
holds what is built true.

A check is a generator of the same name as the function. It is given an `Attempt`, which calls the student's function
safely, and yields (property, what is wrong with it, "" where it holds):

    def step_length(attempt: Attempt) -> Properties:
        beta = attempt(4.0, 0.02, like=0.0)  # copies go in; a float has to come out
        yield "spends δ of the quadratic model", near(beta, 0.1, {"that of δ without its factor 2": 0.0707})

`like` shows what has to come out: a float, a NumPy array or a tensor. The first property should be one that every
serious attempt has; later ones may say `attempt.gives(true, *arguments, mistakes={...})`, which turns a failed call
into what is wrong. `near` finds a wrong factor, sign or entry by itself, and names the alternatives that it is given:
the usual mistakes. The truth comes from a slow way that shares nothing with the solution.
"""

from trpolab.workshop.checks import check, hint

__all__ = ["check", "hint"]
