"""Settings: one name, one meaning and one set of bounds for the terminal, TOML, Python, the lab and run.json.

A field of a config dataclass is declared with `setting(...)`; everything that shows or reads settings walks the
registry that `registry()` builds from those declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

PACKAGE = str(Path(__file__).parent)


class PlainError(ValueError):
    """Bad input, told in a sentence. A notebook shows that sentence below the caller's own lines, without ours."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of the whole traceback."""
        hidden = (PACKAGE, "/IPython/", "/ipykernel/")
        frames = traceback.extract_tb(self.__traceback__)
        theirs = [frame for frame in frames if not any(part in frame.filename for part in hidden)]
        text = str(self)
        said = type(self).__name__ + (":\n" if "\n" in text else ": ") + text
        return [*"".join(traceback.format_list(theirs)).splitlines(), said]


class ConfigError(PlainError):
    """A configuration that cannot be run; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[str]):
        self.problems = tuple(problems)
        super().__init__(problems[0] if len(problems) == 1 else "\n".join(f"- {text}" for text in problems))


def setting(
    default: Any,
    doc: str,
    *,
    symbol: str = "",
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    scale: str = "linear",
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] | None = None,
    source: str = "",
    live: bool = True,
    flat: bool = False,
    shown: tuple[float, float] | None = None,
    needs: tuple[str, tuple[Any, ...], str] | None = None,
) -> Any:
    """A dataclass field with what a person needs to know about it.

    `low` and `high` are the bounds (open where said), `shown` the range of a slider within them, `scale` is `linear`
    or `log`, `source` the place in the paper, `live` whether a change applies at the next iteration (else at Reset),
    and `flat` whether the name stands without its part ("delta", not "trust.delta"). `choices` may be a function,
    called when settings are listed. `needs` is (another setting, values, reason): where the other one has none of these
    values, this one is not read, and the lab greys it with the reason.
    """
    metadata = {k: v for k, v in locals().items() if k != "default"}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One setting as the registry knows it: its public name and where it sits in the config tree."""

    name: str
    path: tuple[str, ...]
    kind: Any  # the annotated type
    default: Any
    doc: str
    symbol: str = ""
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    scale: str = "linear"
    choices: tuple[Any, ...] | None = None
    source: str = ""
    live: bool = True
    shown: tuple[float, float] | None = None
    needs: tuple[str, tuple[Any, ...], str] | None = None

    @property
    def part(self) -> str:
        """The sub-config that holds it ("" for the run's own)."""
        return self.path[0] if len(self.path) > 1 else ""

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.kind is bool:
            return "true or false"
        left = "" if self.low is None else f"{'>' if self.open_low else '>='} {self.low:g}"
        right = "" if self.high is None else f"{'<' if self.open_high else '<='} {self.high:g}"
        return " and ".join(part for part in (left, right) if part) or describe_kind(self.kind)

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, in one sentence, or None."""
        wrong = f"{self.name} = {value!r}: must be {self.allowed()}"
        if self.choices is not None:
            return None if value in self.choices else wrong
        if not fits(self.kind, value):
            return f"{self.name} = {value!r}: must be {describe_kind(self.kind)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not math.isfinite(value):
            return f"{self.name} = {value!r}: must be a finite number, {self.allowed()}"
        inside = True
        if self.low is not None:
            inside = inside and (value > self.low if self.open_low else value >= self.low)
        if self.high is not None:
            inside = inside and (value < self.high if self.open_high else value <= self.high)
        return None if inside else wrong


def describe_kind(kind: Any) -> str:
    """A type in words."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if kind in names:
        return names[kind]
    if kind == tuple[int, ...]:
        return "a list of whole numbers >= 1, like [64, 64]"
    options = [describe_kind(option) for option in getattr(kind, "__args__", ()) if option is not type(None)]
    return " or ".join([*options, "none"])


def fits(kind: Any, value: Any) -> bool:
    """Whether a value has the annotated type (an int is a float, a bool is not an int)."""
    plain = {bool: bool, int: int, float: int | float, str: str}
    if kind in plain:
        return isinstance(value, plain[kind]) and (kind is bool or not isinstance(value, bool))
    if kind == tuple[int, ...]:
        return isinstance(value, tuple) and all(fits(int, width) and width >= 1 for width in value)
    return any(value is None if option is type(None) else fits(option, value) for option in kind.__args__)


def registry(config_type: type, parts: Mapping[str, type], part: str = "") -> dict[str, Setting]:
    """Every setting of a config by its public name: its own fields in declaration order, then those of its parts.

    `part` is the config's own place, where it is itself a part.
    """
    found: dict[str, Setting] = {}

    def walk(cls: type, path: tuple[str, ...]) -> None:
        hints = get_type_hints(cls)
        for entry in fields(cls):
            here = (*path, entry.name)
            if "doc" not in entry.metadata:
                continue
            about = dict(entry.metadata)
            name = entry.name if about.pop("flat", False) or not path else ".".join(here)
            default = entry.default if entry.default is not MISSING else None
            if callable(about["choices"]):
                about["choices"] = about["choices"]()
            found[name] = Setting(name=name, path=here, kind=hints[entry.name], default=default, **about)

    walk(config_type, (part,) if part else ())
    for name, kind in parts.items():
        walk(kind, (name,))
    return found


def faults_of(part: str, config: Any) -> list[str]:
    """What is out of bounds in a part of the settings given as its dataclass, each a sentence."""
    known = registry(type(config), {}, part).values()
    return [problem for about in known if (problem := about.problem(getattr(config, about.path[-1])))]


def nearest(name: str, names: Any, count: int = 3) -> str:
    """ "; did you mean a, b?" or an empty text."""
    lowered = {str(known).lower(): str(known) for known in names}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)]
    return f"; did you mean {', '.join(close)}?" if close else ""


_WHOLE = "an update takes the whole batch: its size is `steps_per_iteration`, over all slots"
_RATE = "TRPO has no learning rate: `delta` bounds the step; the value function is fitted by Levenberg-Marquardt"
_STEPS = "`iterations` × `steps_per_iteration` are all steps of a run"
_ENTROPY = "there is no entropy bonus; `delta` bounds how fast a policy narrows"
_SLOTS = "`steps_per_iteration` counts the steps of all slots together: n_steps × n_envs"
# What settings are called in Stable-Baselines3 and sb3-contrib, Tianshou, garage and rllab, Spinning Up, OpenAI's
# Baselines and modular_rl: our name, or where there is none a sentence.
ELSEWHERE = {
    **dict.fromkeys(("target_kl", "max_kl", "max_kl_step", "max_constraint_value", "step_size"), "delta"),
    **dict.fromkeys(("discount", "discount_factor"), "gamma"),
    **dict.fromkeys(("gae_lambda", "lambda", "lambda_", "lambd"), "lam"),
    **dict.fromkeys(("cg_iters", "cg_max_steps"), "cg_iterations"),
    **dict.fromkeys(("cg_damping", "damping_coeff", "hvp_reg_coeff", "reg_coeff"), "damping"),
    **dict.fromkeys(("line_search_shrinking_factor", "backtrack_coeff", "backtrack_ratio"), "shrink"),
    **dict.fromkeys(("line_search_max_iter", "max_backtracks", "backtrack_iters"), "max_tries"),
    **dict.fromkeys(("n_critic_updates", "optim_critic_iters", "train_v_iters", "vf_iters"), "value.fit_steps"),
    **dict.fromkeys(("normalize_advantage", "advantage_normalization", "center_adv"), "path.standardize"),
    **dict.fromkeys(("max_ep_len", "max_path_length", "max_pathlength", "max_episode_steps"), "path.horizon"),
    **dict.fromkeys(("timesteps_per_batch", "steps_per_epoch"), "steps_per_iteration"),
    **dict.fromkeys(("epochs", "n_iter", "n_itr", "max_iters"), "iterations"),
    **dict.fromkeys(("n_envs", "num_envs"), "slots"),
    **dict.fromkeys(("net_arch", "hidden_sizes"), "hidden"),
    **dict.fromkeys(("activation_fn", "hidden_nonlinearity"), "activation"),
    **dict.fromkeys(("env", "env_id", "env_name", "env_fn"), "task"),
    **dict.fromkeys(("algo", "algorithm"), "method"),
    **dict.fromkeys(("log_std_init", "init_log_std"), "policy.log_std"),
    **dict.fromkeys(("normalize", "normalize_obs", "norm_obs"), "normalize_observations"),
    **dict.fromkeys(("learning_rate", "lr", "vf_lr", "vf_stepsize"), _RATE),
    **dict.fromkeys(("total_timesteps", "n_timesteps", "max_timesteps"), _STEPS),
    **dict.fromkeys(("ent_coef", "entropy_coef", "entcoeff", "policy_ent_coeff"), _ENTROPY),
    **dict.fromkeys(("batch_size", "minibatch_size", "max_batchsize"), _WHOLE),
    **dict.fromkeys(("clip_range", "clip_ratio"), "TRPO clips no ratio: `delta` bounds the step"),
    "n_steps": _SLOTS,
    "actor_step_size": "natural_gradient.step",
    "sub_sampling_factor": "`fisher_fraction` is the share of the states in Fisher products: 1 / sub_sampling_factor",
    "policy_kwargs": "give `hidden` and `activation` themselves",
    "n_epochs": "a batch makes one update of the policy, and `value.fit_steps` steps of the value function",
    "vf_coef": "policy and value function are two networks, and each has its own fit",
    "max_grad_norm": "gradients are not clipped: `delta` bounds the step",
    "eval_freq": "`evaluate_every` counts iterations",
    "n_eval_episodes": "evaluate_episodes",
    "save_freq": "checkpoint_every",
}


def unknown_setting(name: str, known: Any) -> str:
    """Why a name that is none of the known settings is refused: what it is called here, or which names are near."""
    ours = ELSEWHERE.get(name.rpartition(".")[2].lower().replace("-", "_"))
    if ours is None:
        return f"unknown setting {name!r}{nearest(name, known)}"
    return f"unknown setting: `{name}`: {ours}" if " " in ours else f"unknown setting: `{name}` is called `{ours}` here"


def parse_value(text: str) -> Any:
    """A value as typed after `--set KEY=`: TOML where it is TOML, else the text itself; `none` is None."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return as_setting(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        return text


def as_setting(value: Any) -> Any:
    """Lists (from TOML or JSON) become tuples."""
    return tuple(as_setting(item) for item in value) if isinstance(value, list) else value


def flatten(table: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """A TOML table with or without sub-tables as flat names: {"vine": {"trunks": 4}} is {"vine.trunks": 4}."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and key not in names:
            flat |= {f"{key}.{inner}": as_setting(item) for inner, item in value.items()}
        else:
            flat[key] = as_setting(value)
    return flat
