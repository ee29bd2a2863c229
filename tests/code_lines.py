"""Lines of code of the package, without blanks, comments and docstrings: `python -m tests.code_lines [FOLDER]`."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "trpolab"
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def code_lines(source: str) -> int:
    """Lines on which something of the code begins; docstrings are none, and a text over several lines is one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    begun = {token.start[0] for token in tokens if token.type not in NO_CODE}
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node) is not None:
            begun.discard(node.body[0].lineno)
    return len(begun)


def by_room(package: Path = PACKAGE) -> Counter[str]:
    """Lines of code of each folder and each file at the top of the package."""
    count = Counter[str]()
    for path in package.rglob("*.py"):
        count[path.relative_to(package).parts[0]] += code_lines(path.read_text(encoding="utf-8"))
    return count


def main() -> None:
    """Print a line for each room, largest first, and the sum."""
    count = by_room(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE)
    for room, lines in count.most_common():
        print(f"{lines:6}  {room}")
    print(f"{sum(count.values()):6}  in all")


if __name__ == "__main__":
    main()
