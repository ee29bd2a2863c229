"""README and docs: what they name is there, what they claim of the code is true, and their commands are understood."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_architecture import imports
from trpolab.bench import names as benchmarks
from trpolab.cli.main import parser
from trpolab.cli.train import make_plan
from trpolab.selftest import CHECKS
from trpolab.settings import parse_value
from trpolab.simulators import SIMULATORS
from trpolab.training.config import part_types, settings
from trpolab.updates.method import METHODS

CHECKOUT = Path(__file__).parent.parent
PACKAGE = CHECKOUT / "trpolab"
README = CHECKOUT / "README.md"
PAGES = [README, CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"`((?:trpolab|tests|notebooks|docs)/[\w./-]+\.\w+)`")


def named(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text_of(page))


def blocks(page: Path, language: str) -> list[str]:
    return [block for kind, block in FENCE.findall(text_of(page)) if kind == language]


def section(page: Path, heading: str) -> str:
    """The text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text_of(page), re.M | re.S)
    assert found, f"{named(page)} has no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without the heads; an escaped bar is part of its cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {i for i, row in enumerate(cells) if all(set(cell) <= set("-:") for cell in row)}
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def anchors(page: Path) -> set[str]:
    """What a link to a heading may be, by GitHub's rule."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


# -- what is named is there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        target, _, anchor = urllib.parse.unquote(link).partition("#")
        if "://" in target:
            continue
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it names what was
    assert [name for name in FILE.findall(text_of(page)) if not (CHECKOUT / name).exists()] == []


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    links = re.findall(r"\]\((docs/[^)#]+)", text_of(README))
    assert {named(page) for page in PAGES if page.parent == CHECKOUT / "docs"} <= set(links)


def test_commands_are_understood() -> None:
    """Every `trpolab ...` line: the command, its options, its settings and the names of benchmarks."""
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]
    lines = [line for page in pages for block in blocks(page, "") + blocks(page, "bash") for line in block.splitlines()]
    lines += [quote for page in pages for quote in quoted(prose(page))]
    found = 0
    for line in lines:
        words = shlex.split(line.partition(" #")[0]) if line.startswith("trpolab ") else []
        if (
            len(words) < 3
            or set(line) & set("…[<|")
            or words[1] in ("lab", "workshop")
            or {"--help", "--import"} & set(words)
        ):
            continue  # tests/test_extending.py runs those with --import
        args = parser().parse_args(words[1:])
        found += 1
        if words[1] == "train" and ("ALE/" not in line or find_spec("ale_py")):
            make_plan(args)
        assert set(getattr(args, "names", [])) - {"NAME"} <= set(benchmarks()), line
    assert found > 20


# -- the README ------------------------------------------------------------------------------------------------------


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.read_bytes()) <= 16_000


def test_the_tree_of_the_house_is_the_packages_own() -> None:
    (tree,) = [block for block in blocks(README, "") if block.startswith("notebooks/")]
    folders, above = set(), ""
    for line in tree.splitlines()[1:]:
        indent, name = re.match(r"( *)(\S+)", line).groups()
        if not name.endswith("/"):
            assert (PACKAGE / name).is_file(), name
        elif len(indent) == 2:
            above = name
            folders.add(name.rstrip("/"))
        elif len(indent) == 4:
            folders.add((above + name).rstrip("/"))
    there = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")} - {"."}
    assert folders == there


def reading_order() -> list[Path]:
    return [CHECKOUT / name for name in re.findall(r"^\d+\. `([^`]+)`", section(README, "Reading order"), re.M)]


def test_the_reading_order_is_short() -> None:
    files = reading_order()
    assert (files[0].name, files[-1].name) == ("cg.py", "loop.py")
    assert len(files) == len(set(files)) <= 15
    assert sum(len(text_of(file).splitlines()) for file in files) <= 2000


def test_no_file_of_the_reading_order_needs_a_later_one() -> None:
    modules = [".".join(file.relative_to(CHECKOUT).with_suffix("").parts) for file in reading_order()]
    for place, file in enumerate(reading_order()):
        imported = {name for _, name in imports(ast.parse(text_of(file)))}
        assert not imported & set(modules[place + 1 :]), named(file)


def test_the_table_of_methods_is_the_registrys() -> None:
    table = [(quoted(name)[0], what, source) for name, what, source in rows(section(README, "Methods"))]
    assert table == [(name, entry.doc, entry.source) for name, entry in METHODS.items()]


def test_the_readme_names_every_task_that_is_listed() -> None:
    listed = {name for kind in SIMULATORS.values() if kind.name != "atari" for name in kind.names()}
    assert listed <= set(quoted(prose(README)))


def test_switches_of_the_deviations_are_settings() -> None:
    for page in (README, CHECKOUT / "docs" / "atari.md"):
        for _, _, switch in rows(section(page, "Deviations from the paper")):
            for quote in quoted(switch):
                name, _, value = quote.partition("=")
                if name.endswith(".*"):
                    assert name.removesuffix(".*") in part_types(), name
                else:
                    assert name in settings(), name
                    assert not value or settings()[name].problem(parse_value(value)) is None, quote


def test_results_are_those_of_the_tables() -> None:
    """Every number of a line of results stands in the table of the benchmark that it names."""
    tables = text_of(CHECKOUT / "docs" / "results.md").split("\n**")
    lines = rows(section(README, "Results"))
    assert len(lines) == 5
    for measured, result, command in lines:
        name = quoted(command)[0].removeprefix("trpolab bench ")
        (table,) = [table for table in tables if f"(`trpolab bench {name}`)" in table]
        numbers = set(re.findall(r"-?\d[\d,.]*\d|\d", re.sub(r"-v\d", "", f"{measured} {result}")))
        assert numbers <= set(re.findall(r"-?\d[\d,.]*\d|\d", table)), (name, numbers)


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    """In one process, with small budgets; the lab's cell is left to the notebooks."""
    code = "\n".join(block for block in blocks(README, "python") if "Lab(" not in block)
    for long, short in (
        ("steps=1_000_000", "steps=4_000"),
        ('preset="paper", iterations=100', "iterations=1"),
        ("episodes=20", "episodes=1"),
    ):
        assert long in code
        code = code.replace(long, short)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("heading", ["Sweeps", "Statistics"])
def test_the_python_of_the_page_on_many_runs_runs(heading: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", section(CHECKOUT / "docs" / "experiments.md", heading), re.M | re.S)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    code = code.replace("4_000", "2_100").replace("seeds=2", "seeds=1").replace("[0.005, 0.02]", "[0.005]")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    if heading == "Statistics":
        assert ran.stdout.splitlines()[0] == "mean 319 [295, 344], 5 runs"


def test_the_objective_for_optuna_trains_and_gives_up_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Optuna: what a trial suggests, what it is told, and its word on pruning."""

    class Pruned(Exception):
        pass

    class Study:
        def optimize(self, objective: Callable, n_trials: int) -> None:
            self.objective = objective

    class Suggested(SimpleNamespace):
        def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
            return 0.5 * (low + high)

        def report(self, value: float, step: int) -> None:
            self.told.append((step, value))

        def should_prune(self) -> bool:
            return self.told[-1][0] >= self.last

    study = Study()
    optuna = SimpleNamespace(TrialPruned=Pruned, create_study=lambda **_: study)
    optuna.pruners = SimpleNamespace(MedianPruner=lambda **_: None)
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    (code,) = blocks(CHECKOUT / "docs" / "experiments.md", "python")[2:]
    exec(code.replace("iterations=20", "iterations=4"), names := {})
    with pytest.raises(Pruned):
        names["objective"](pruned := Suggested(number=0, told=[], last=2))
    assert [step for step, _ in pruned.told] == [1, 2]
    score = names["objective"](whole := Suggested(number=0, told=[], last=9))
    assert whole.told[:2] == pruned.told and len(whole.told) == 4 and score > 0


# -- equations -------------------------------------------------------------------------------------------------------

NUMBERS = re.compile(
    r"(Eq\.|Section|App\.|Appendix) ((?:[A-D\d](?:[\d.]*\d)?)(?:(?:, | and |-)(?:[A-D\d](?:[\d.]*\d)?))*)"
)


def places(text: str) -> set[str]:
    """Every equation, section and appendix of the paper that a text names, one by one."""
    found = set()
    for kind, numbers in NUMBERS.findall(text):
        kind = "App." if kind == "Appendix" else kind
        for part in re.split(r", | and ", numbers):
            first, _, last = part.partition("-")
            span = [str(n) for n in range(int(first), int(last) + 1)] if last else [first]
            found |= {f"{kind} {number}" for number in span}
    return found


def definitions(file: Path) -> Iterator[tuple[str, str]]:
    """Name and source of every function, class and method of a file."""
    source = text_of(file)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, ast.get_source_segment(source, node) or ""
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef):
                yield f"{node.name}.{inner.name}", ast.get_source_segment(source, inner) or ""


@pytest.mark.parametrize("page", [README, CHECKOUT / "docs" / "theory.md"], ids=named)
def test_equations_stand_where_the_table_says(page: Path) -> None:
    """Each function is in its file, and names one of its row's equations there; together they name all of them."""
    table = rows(section(page, "Equations"))
    assert len(table) > 5
    for paper, _, functions, file in table:
        (name,) = quoted(file)
        known = dict(definitions(PACKAGE / name))
        module = places(ast.get_docstring(ast.parse(text_of(PACKAGE / name))) or "")
        told = {function: places(known[function]) | module for function in quoted(functions)}
        wanted = places(paper)
        assert wanted and wanted <= set().union(*told.values()), (paper, told)
        assert all(wanted & there for there in told.values()), (paper, told)


def test_the_readme_names_every_equation_of_the_paper() -> None:
    named_there = set().union(*(places(row[0]) for row in rows(section(README, "Equations"))))
    assert {f"Eq. {number}" for number in range(1, 19)} | {f"App. {name}" for name in "ABCD"} <= named_there


def test_places_are_told_one_by_one() -> None:
    assert places("Eq. 5, 6 and Eq. 9; Eq. 14-16") == {f"Eq. {n}" for n in (5, 6, 9, 14, 15, 16)}
    assert places("Section 8.2 (Appendix C.1), App. A") == {"Section 8.2", "App. C.1", "App. A"}


def test_the_names_of_the_glossary_exist() -> None:
    nodes = [node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(text_of(path)))]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)} | {"theory"}
    declared = (node.target for node in nodes if isinstance(node, ast.AnnAssign))
    known = defined | {target.id for target in declared if isinstance(target, ast.Name)}
    table = rows(text_of(CHECKOUT / "docs" / "glossary.md"))
    names = [name for row in table for name in quoted(row[3])]
    assert len(table) > 15
    assert [n for n in names if n not in settings() and not set(n.split(".")) <= known] == []


# -- pages that are made ---------------------------------------------------------------------------------------------


def test_the_page_of_settings_is_made_from_the_declarations() -> None:
    """By a process of its own: other tests register settings besides."""
    command = "python -m trpolab.cli.settings_help"
    names = "from trpolab.training.config import settings; print(*settings(), sep='\\n')"
    made, names_now = (
        subprocess.run([sys.executable, *asked], cwd=CHECKOUT, check=True, capture_output=True, encoding="utf-8").stdout
        for asked in (command.split()[1:], ["-c", names])
    )
    page = text_of(CHECKOUT / "docs" / "settings.md")
    assert page == made, f"make it anew: {command} > docs/settings.md"
    assert [row[0].split(" ")[0].strip("`") for row in rows(page)] == names_now.split()


def test_the_page_of_reliability_counts_the_self_tests() -> None:
    assert f"the checks of {len(CHECKS)} of the rows" in text_of(CHECKOUT / "docs" / "reliability.md")
