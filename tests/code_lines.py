"""Lines of code of the package, without blanks, comments and docstrings: `python -m tests.code_lines`."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "trpolab"
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def code_lines(source: str) -> int:
    """Lines that hold a token of code; every line of a text that is no docstring counts."""
    held = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                held.difference_update(range(first.lineno, first.end_lineno + 1))
    return len(held)


def by_room() -> Counter[str]:
    """Lines of code of each folder and each file at the top of the package."""
    count = Counter[str]()
    for path in PACKAGE.rglob("*.py"):
        count[path.relative_to(PACKAGE).parts[0]] += code_lines(path.read_text(encoding="utf-8"))
    return count


def main() -> None:
    """Print a line for each room, largest first, and the sum."""
    count = by_room()
    for room, lines in count.most_common():
        print(f"{lines:6}  {room}")
    print(f"{sum(count.values()):6}  in all")


if __name__ == "__main__":
    main()
