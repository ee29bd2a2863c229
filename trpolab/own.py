"""A person's own functions in the place of the library's: `trpolab.train(task, conjugate_gradient=mine)`.

Vectors [D] are torch tensors of float64, rewards and values NumPy arrays; what comes back may be either, or a list. The
functions that a function is given (`product`, `surrogate`, `mean_kl`) take vectors of either kind as well.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trpolab.registry import takes
from trpolab.settings import PlainError

Own = Callable[..., Any] | None
LONGEST = 200  # characters of another error's message that are told


class OwnFunctionError(PlainError):
    """A person's own function went wrong; the message says how."""


@dataclass(frozen=True)
class Place:
    """A function of the library that may be replaced. It is called where the setting `reads` is read, with one of
    these `values` (none: with any).
    """

    arguments: tuple[str, ...]
    doc: str
    reads: str
    values: tuple[Any, ...] = ()


def _place(arguments: str, doc: str, reads: str, *values: Any) -> Place:
    return Place(tuple(arguments.split(", ")), doc, reads, values)


# N states, K actions, T steps, D parameters
OWN = {
    "conjugate_gradient": _place(
        "product, b, iterations", "x [D] ≈ A⁻¹b, where product(v) is Av", "cg_iterations"
    ),
    "fisher_product": _place(
        "mean_kl, theta, v", "Av [D], A the Hessian of mean_kl at theta; torch differentiates mean_kl", "trust.fisher"
    ),
    "line_search": _place(
        "surrogate, mean_kl, theta, step, delta",
        "the θ' [D] between theta and theta + step that is accepted; theta itself where none is", "line_search", True,
    ),
    "trpo_step": _place(
        "gradient, product, surrogate, mean_kl, theta, delta",
        "the next θ [D]: direction, length and line search together; theta itself where none is taken", "trust.fisher",
    ),
    "returns": _place(
        "rewards, gamma", "Q̂ [T] of one trajectory from its rewards [T]", "advantage", "monte_carlo", "centred"
    ),
    "advantages": _place(
        "rewards, values, last_value, gamma, lam",
        "advantages [T] of a piece of a trajectory; last_value is V after its last step, 0 where it ended",
        "advantage", "gae",
    ),
    "vine_estimate": _place(
        "weights, q_values", "L_n [N] from the weights π_θ/q [N, K] and Q̂ [N, K], in torch: Eq. 15 or 16",
        "vine.estimator",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class OwnFunctions:
    """The functions that a run takes from a person, as `OWN` tells them; None is the library's.

    Each is handed copies, so that what it does to them harms nothing, and is told if it changed them.
    """

    conjugate_gradient: Own = None
    fisher_product: Own = None
    line_search: Own = None
    trpo_step: Own = None
    returns: Own = None
    advantages: Own = None
    vine_estimate: Own = None

    @property
    def given(self) -> dict[str, Callable[..., Any]]:
        """Those that are not the library's, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def named(self) -> dict[str, str]:
        """What the run folder says of them: their names."""
        return {name: called(function) for name, function in self.given.items()}

    def uncalled(self, read: Sequence[str], value_of: Callable[[str], Any]) -> list[str]:
        """Of those given, what nothing calls in a run that has these settings `read`, each a sentence."""
        found = []
        for name, function in self.given.items():
            place = OWN[name]
            if place.reads not in read:
                found.append(f"{name} = {called(function)}: neither the method nor the sampler of this run calls it")
            elif place.values and value_of(place.reads) not in place.values:
                wanted, here = " or ".join(map(repr, place.values)), value_of(place.reads)
                found.append(f"{name} = {called(function)}: called where {place.reads} = {wanted}; here it is {here!r}")
        return found

    def call(self, name: str, *arguments: Any, like: Any) -> Any:
        """What the function answers, of the kind and shape of `like`. Raises OwnFunctionError with a sentence."""
        try:
            return guarded(getattr(self, name), OWN[name].arguments, arguments, like)
        except OwnFunctionError as error:
            raise self.fault(name, str(error)) from error

    def by_piece(
        self,
        name: str,
        start: np.ndarray,
        arrays: Sequence[np.ndarray],
        *rest: Any,
        each: Sequence[float] | None = None,
    ) -> np.ndarray:
        """The answers [N] for pieces laid end to end, with offsets `start` [S + 1].

        Each of the `arrays` [N] is cut into pieces; of `each` [S] a piece has its own one.
        """
        cut: list[Any] = [np.split(np.asarray(array, np.float64), start[1:-1]) for array in arrays]
        pieces = zip(*cut, strict=True) if each is None else zip(*cut, each, strict=True)
        return np.concatenate([self.call(name, *piece, *rest, like=piece[0]) for piece in pieces])

    def fault(self, name: str, why: str) -> OwnFunctionError:
        """What is to be raised where a function went wrong; the innermost one is named."""
        return OwnFunctionError(
            why if why.partition(" = ")[0] in OWN else f"{name} = {called(getattr(self, name))}: {why}"
        )


LIBRARY = OwnFunctions()


def unfit(name: str, function: Any) -> list[str]:
    """Why this can't take the place of the library's function, in a sentence; nothing where it can."""
    arguments = OWN[name].arguments
    if function is None or (callable(function) and not isinstance(function, type) and takes(function, len(arguments))):
        return []
    told = called(function) if callable(function) else repr(function)
    return [f"{name} = {told}: must be a function of ({', '.join(arguments)})"]


def called(function: Any) -> str:
    """A function's name for people."""
    return str(getattr(function, "__qualname__", type(function).__name__)).removeprefix("<locals>.")


def typed(name: str, called: str) -> str:
    """What stands for a function in a line of Python: its name if that is one, else that of its place."""
    return called if called.isidentifier() else name


def guarded(function: Callable[..., Any], names: Sequence[str], arguments: Sequence[Any], like: Any) -> Any:
    """`function(*arguments)` on copies. Raises OwnFunctionError if it fails, changes them, or gives what does not fit.

    `like` is an example of what has to come: a float, an array or a tensor.
    """
    given = [copy_of(argument) for argument in arguments]
    try:
        with torch.enable_grad():
            value = function(*given)
    except OwnFunctionError:
        raise
    except Exception as error:
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
        lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f" in `{lines[-1]}`" if lines and lines[-1] else ""
        raise OwnFunctionError(f"it raised {type(error).__name__}{where}: {str(error)[:LONGEST]}") from error
    for name, mine, before in zip(names, given, arguments, strict=True):
        if isinstance(before, np.ndarray | Tensor) and not same(mine, before):
            raise OwnFunctionError(f"it changed its argument {name}: work on a copy")
    return fitting(value, like)


def fitting(value: Any, like: Any) -> Any:
    """A value as what it is to be like; raises OwnFunctionError unless it has that shape and only finite numbers."""
    wanted = f"a vector of {len(like)} numbers" if np.ndim(like) == 1 else "a number"
    wanted = f"numbers of shape {tuple(like.shape)}" if np.ndim(like) > 1 else wanted
    if value is None:
        raise OwnFunctionError(f"it gave None, not {wanted}: is there a `return`?")
    if isinstance(value, Tensor) and value.is_complex():
        raise OwnFunctionError(f"it gave complex numbers, not {wanted}")
    kind = f"a {type(value).__name__}"
    try:
        fit = value if isinstance(value, Tensor) else _numbers(value)
        fit = fit.to(like.device, like.dtype) if isinstance(like, Tensor) else fit.to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OwnFunctionError(f"it gave {kind} that is not {wanted}") from error
    if tuple(fit.shape) != np.shape(like):
        shape = f"shape {tuple(fit.shape)}" if fit.ndim else "one number"
        raise OwnFunctionError(f"it gave {f'{kind} of {shape}' if isinstance(value, tuple) else shape}, not {wanted}")
    if bad := int((~fit.detach().isfinite()).sum()):
        nan = "NaN" if bool(fit.detach().isnan().any()) else "infinity"
        raise OwnFunctionError(f"it gave {nan}" + (f" in {bad} of {fit.numel()} numbers" if fit.ndim else ""))
    if isinstance(like, Tensor):
        return fit
    array = fit.detach().cpu().numpy()
    return array if isinstance(like, np.ndarray) else float(array)


def _numbers(value: Any) -> Tensor:
    """An array or a list as a tensor. Raises TypeError where NumPy would read numbers out of texts."""
    array = np.asarray(value)
    if array.dtype.kind in "US" or (array.dtype.kind == "O" and any(isinstance(each, str) for each in array.ravel())):
        raise TypeError("a text")
    return torch.as_tensor(np.array(array, np.float64, order="C"))


def vectors(function: Callable[[Tensor], Any], like: Tensor, name: str) -> Callable[[Any], Any]:
    """A function of tensors like this one, for a person's function to call with an array or a tensor."""

    def answer(vector: Any) -> Any:
        try:
            fit = fitting(vector, like)
        except OwnFunctionError as error:
            told = str(error).replace("it gave", f"it called {name} with")
            raise OwnFunctionError(told) from error
        found = function(fit)
        return found.numpy() if isinstance(vector, np.ndarray) and isinstance(found, Tensor) else found

    return answer


def copy_of(value: Any) -> Any:
    """Arrays and tensors copied, off any graph but one that is wanted; all else as it is."""
    if isinstance(value, Tensor):
        return value.clone() if value.requires_grad else value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def same(a: Any, b: Any) -> bool:
    """Whether an array or a tensor holds what another one does."""
    if isinstance(b, Tensor):
        return torch.equal(a.detach(), b.detach())
    return np.array_equal(a, b)
