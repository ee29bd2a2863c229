"""The shape of the house: who may import whom, what `import trpolab` costs, and what no module may call."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import trpolab
from tests.checkout import notebooks

PACKAGE = Path(trpolab.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent
NOTEBOOKS = notebooks()
# Top to bottom: a room may import the rooms below it.
ROOMS = (
    "lab",
    "cli",
    "selftest",
    "bench",
    "workshop",
    "experiments",
    "training",
    "runs",
    "updates",
    "theory",
    "sampling",
    "simulators",
    "policies",
    "numerics",
    "own",
    "registry",
    "settings",
    "extras",
    "machine",
)
NOTEBOOK_MODULES = {"ipywidgets", "anywidget", "plotly", "matplotlib", "IPython"}
FORBIDDEN_MODULES = {
    *("cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pandas", "pickle", "random", "shelve", "yaml"),
}
# What can be made to run code by a file or a text, and global random state.
FORBIDDEN_CALLS = {
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "torch.export.load"),
    *("torch.serialization.load", "torch.manual_seed", "torch.seed", "torch.set_rng_state"),
    *("np.load", "numpy.load", "np.lib.format.read_array", "numpy.lib.format.read_array"),
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
}
FORBIDDEN_OPTIONS = {("allow_pickle", True), ("shell", True), ("weights_only", True), ("weights_only", False)}
# The only things in numpy.random that hold no global state.
ALLOWED_RANDOM = {"Generator", "Philox", "PCG64", "SeedSequence", "BitGenerator", "default_rng"}


def room_of(path: Path) -> str:
    """The top-level part of the package that a file belongs to; "" is the package itself."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name in ("__init__", "__main__") else name


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported module with its line, those inside functions and those for type checkers included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports name their module in full"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def options(tree: ast.AST) -> Iterator[tuple[int, str, object]]:
    """Every `name=constant` that is handed to a call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg is not None and isinstance(node.value, ast.Constant):
            yield node.value.lineno, node.arg, node.value.value


def faults_of_imports(room: str, tree: ast.AST) -> list[str]:
    """What the import rule forbids in a module of `room`."""
    below = ROOMS[ROOMS.index(room) :] if room else ROOMS
    faults = []
    for line, name in imports(tree):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top == "trpolab" and target in ROOMS and target not in below:
            faults.append(f"line {line}: {room} imports {name}, which stands above it")
        if top in NOTEBOOK_MODULES and room not in ("lab", "workshop", "experiments"):
            faults.append(f"line {line}: {top} belongs to lab, workshop and experiments")
        if top in FORBIDDEN_MODULES or name in FORBIDDEN_CALLS:
            faults.append(f"line {line}: {top} is not used here")
    return faults


def faults_of_calls(tree: ast.AST) -> list[str]:
    """Loaders that can run foreign code, and global random state."""
    faults = []
    for line, name in calls(tree):
        head, _, function = name.rpartition(".")
        if name in FORBIDDEN_CALLS or (head in ("np.random", "numpy.random") and function not in ALLOWED_RANDOM):
            faults.append(f"line {line}: {name} is not used here")
    for line, name, value in options(tree):
        if (name, value) in FORBIDDEN_OPTIONS and isinstance(value, bool):
            faults.append(f"line {line}: {name}={value} is not used here")
    return faults


def code_of(notebook: Path) -> str:
    """The code cells of a notebook as one text, without the lines that only IPython understands."""
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_load_nothing_that_runs_code(path: Path) -> None:
    tree = ast.parse(code_of(path))
    unsafe = [name for _, name in imports(tree) if name.partition(".")[0] in FORBIDDEN_MODULES]
    assert faults_of_calls(tree) + unsafe == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_what_is_there(path: Path) -> None:
    """Told before they are run, which takes minutes."""
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("trpolab"):
            for alias in node.names:
                pkgutil.resolve_name(f"{node.module}:{alias.name}")


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_keeps_the_rules(path: Path) -> None:
    assert room_of(path) in ("", *ROOMS), f"{path}: a new room needs its place in ROOMS"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert faults_of_imports(room_of(path), tree) + faults_of_calls(tree) == []


def circles(imported: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Groups of modules that reach each other by imports, `imported` saying what each module imports."""
    reached = {name: reachable(name, imported) for name in imported}
    groups = {name: tuple(sorted(other for other in reached[name] if name in reached[other])) for name in imported}
    return {group for group in groups.values() if group}


def reachable(name: str, imported: dict[str, set[str]]) -> set[str]:
    """What a module imports, what that imports, and so on; itself only by way of others."""
    found, left = set[str](), [name]
    while left:
        new = imported.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def imported_by_each() -> dict[str, set[str]]:
    """The modules of the package that each of them imports."""
    names = {module_name(path): path for path in MODULES}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        wanted = set[str]()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {other if other in names else str(node.module) for other in full}
        found[name] = wanted & set(names) - {name}
    return found


def module_name(path: Path) -> str:
    return ".".join(("trpolab", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def test_no_modules_import_each_other() -> None:
    assert circles(imported_by_each()) == set()


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {("b", "c")}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()
    assert "trpolab.training.loop" in imported_by_each()["trpolab.training.session"]


def test_a_class_name_means_one_thing() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in MODULES)
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} == set()


MOST_LINES = 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def steps_of_simulators(tree: ast.AST) -> list[int]:
    """Lines of calls like `simulator.step(slots, actions)`."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    return [call.lineno for call in found if call.func.attr == "step" and len(call.args) == 2 and not call.keywords]


def test_one_loop_steps_simulators() -> None:
    """Everything is played by sampling/play.py; simulators among themselves, checks and benchmarks apart."""
    stepping = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if room_of(path) not in ("simulators", "selftest", "bench")
        and steps_of_simulators(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert stepping == {"sampling/play.py"}


KINDS = {"sampler", "method", "network", "distribution", "simulator"}


def asks_for_a_kind_by_name(tree: ast.AST) -> list[int]:
    """Lines that compare a kind with a text: they would have to know every entry of its registry."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            named = any(ast.unparse(side).rpartition(".")[2] in KINDS for side in sides)
            texts = any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts_of(sides))
            found += [node.lineno] if named and texts else []
    return found


def parts_of(sides: list[ast.expr]) -> Iterator[ast.expr]:
    """The sides of a comparison, and what stands in those that are lists, tuples or sets."""
    for side in sides:
        yield from side.elts if isinstance(side, ast.List | ast.Tuple | ast.Set) else [side]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_kind_is_not_asked_for_by_its_name(path: Path) -> None:
    if room_of(path) != "bench":  # which chooses what it compares
        assert asks_for_a_kind_by_name(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_rules_on_steps_and_names_catch() -> None:
    assert steps_of_simulators(ast.parse("now = simulator.step(None, actions)")) == [1]
    assert steps_of_simulators(ast.parse("step(a, b); play.step(); kl.step(x, y, where=z)")) == []
    for code in ('config.sampler == "vine"', 'method in ("cem", "reps")', '"vine" != sampler'):
        assert asks_for_a_kind_by_name(ast.parse(code)) == [1]
    for code in ("config.sampler == other.sampler", 'kind == "box"', "method in METHODS"):
        assert asks_for_a_kind_by_name(ast.parse(code)) == []


APART = {"browser", "data", "faults", "reliability"}  # tests of no one module


def test_tests_stand_where_what_they_test_stands() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    mirrored = {folder for folder in folders if not APART.intersection(folder.parts)}
    assert [folder for folder in mirrored if not (PACKAGE / folder).is_dir()] == []


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("numerics", "import trpolab.policies"),
        ("policies", "from trpolab import updates"),
        ("training", "def late():\n    from trpolab.lab import Lab"),
        ("training", "import plotly.graph_objects as go"),
        ("updates", "if TYPE_CHECKING:\n    from trpolab.training import Config"),
        ("policies", "import pickle"),
        ("policies", "import yaml"),
        ("policies", "from joblib import load"),
        ("policies", "from torch import load"),
        ("policies", "from numpy import load as read"),
        ("cli", "from IPython.display import display"),
    ],
)
def test_the_import_rule_catches(room: str, code: str) -> None:
    assert faults_of_imports(room, ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        *("torch.load(p)", "np.random.seed(1)", "numpy.random.normal()", "torch.manual_seed(0)", "x = eval(t)"),
        *("torch.jit.load(p)", "np.load(p, allow_pickle=True)", "read(p, allow_pickle=True)", "exec(t)"),
        *("torch.load(p, weights_only=True)", "subprocess.run(t, shell=True)", "os.system(t)", "__import__(t)"),
    ],
)
def test_the_call_rule_catches(code: str) -> None:
    assert faults_of_calls(ast.parse(code))


def test_the_rules_allow_what_is_right() -> None:
    code = "import torch\nfrom trpolab.numerics import cg\nfrom trpolab.updates import step"
    assert faults_of_imports("updates", ast.parse(code)) == []
    assert faults_of_calls(ast.parse("np.random.Generator(np.random.Philox(1)); model.eval()")) == []


def loaded_by(code: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_importing_trpolab_loads_neither_torch_nor_anything_of_a_notebook() -> None:
    unwanted = {*NOTEBOOK_MODULES, "ale_py", "cma", "PIL", "jupyterlab", "rich", "ray", "tensorboard"}
    assert not loaded_by("import trpolab") & {*unwanted, "mujoco", "psutil", "torch"}
    names = [name for name in trpolab.__all__ if name not in ("Lab", "compare", "play", "watch")]
    assert not loaded_by(f"from trpolab import {', '.join(names)}") & (unwanted - {"PIL"})


@pytest.mark.parametrize("name", trpolab.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(trpolab, name).__name__.rpartition(".")[2] == name  # `theory` is a module
    assert name in dir(trpolab)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = trpolab.nonsense


@pytest.mark.parametrize("module", ["ipywidgets", "anywidget"])
def test_without_a_notebook_package_the_error_names_the_command(module: str) -> None:
    """In a process of its own, where the package cannot be found."""
    code = f"""
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Gone())
import trpolab
try:
    trpolab.Lab
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f'trpolab.Lab needs {module}, which is not installed: pip install "trpolab[lab]"'
