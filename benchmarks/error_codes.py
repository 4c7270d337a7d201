"""Finds every error code in the source, with the exception that carries it and the message that is printed.

The source is read as a syntax tree; nothing is imported or run. A code is the first argument of an exception of
`voxlate.errors`, the code of a warning, of a case's outcome or of an answer of a local server. Where a function passes
on a code that it was given, the code is found at the calls of that function.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxlate import errors

SOURCE = Path(__file__).resolve().parents[1] / "src" / "voxlate"
CODE = re.compile(r"(?=.{2})[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
EXCEPTIONS = tuple(
    name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.VoxlateError)
)
OTHERS = {"warn": 0, "CaseOutcome": 2, "HttpRefusal": 1, "_error_response": 1}
"""Other calls that carry a code, with the position of the code."""

ATTRIBUTES = {"self.differ_code": ("differ_code", "RunFolder"), "kind.code": ("code", "Kind")}
"""Attributes that hold a code: the field, and the class whose constructor is given it."""


HOLDERS = {
    "fault_of": ("archive/indexing/table.py", "the identifiers of the series are inconsistent (column `fault`)"),
    "_of_file": ("quality/items.py", "the name of the file excludes this scan"),
    "_unread_state": ("archive/indexing/folder.py", "the folder cannot be read (counted in `index.json`)"),
    "_read": ("archive/indexing/headers.py", "the file cannot be opened (counted in `index.json`)"),
}
"""Functions that give a code to a row of a table: their files, and what the code means there."""


@dataclass(frozen=True, order=True)
class Site:
    """One place that raises or logs a code.

    Attributes:
        code: the error code.
        carrier: name of the exception, `warn`, `CaseOutcome` or `HttpRefusal`.
        message: with `…` in place of each value; empty where it is passed on.
        file: below `src/voxlate`.
        status: HTTP status of a `HttpRefusal`, otherwise 0.
    """

    code: str
    carrier: str
    message: str
    file: str
    status: int = 0


@dataclass
class _Carrier:
    """A function that raises with a code that it was given.

    Attributes:
        parameters: names of its parameters, in order.
        code: the parameter that takes the code.
        sites: exception and message of each place that raises; the message is a parameter where it is given too.
    """

    parameters: list[str]
    code: str
    sites: list[tuple[str, ast.expr, dict[str, str]]] = field(default_factory=list)

    def argument(self, call: ast.Call, name: str) -> list[ast.expr]:
        """Returns the argument that a call gives to a parameter; nothing where it is left out, or no parameter."""
        place = self.parameters.index(name) if name in self.parameters else len(call.args)
        return [*(word.value for word in call.keywords if word.arg == name), *call.args[place : place + 1]][:1]


def find_sites() -> list[Site]:
    """Returns every place of the source, sorted by code."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    carriers: dict[str, _Carrier] = {}
    found: set[Site] = set()
    for path, tree in trees.items():
        file, constants = str(path.relative_to(SOURCE)), _constants(tree)
        for call, around in _calls(tree):
            found |= {replace(site, file=file) for site in _direct(call, around, constants, trees)}
            _note_carrier(call, around, constants, carriers)
    for path, tree in trees.items():
        file, constants = str(path.relative_to(SOURCE)), _constants(tree)
        for call, _ in _calls(tree):
            found |= set(_passed_on(call, file, constants, carriers))
    found |= set(_faults(trees))
    return sorted(found)


def _calls(tree: ast.AST, around: ast.FunctionDef | None = None) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """Yields each call with the function around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, around
        yield from _calls(node, node if isinstance(node, ast.FunctionDef) else around)


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):  # click.UsageError is not ours
        is_click = isinstance(function.value, ast.Name) and function.value.id == "click"
        return "" if is_click else function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _code_of(call: ast.Call) -> ast.expr | None:
    name = _name(call)
    place = 0 if name in EXCEPTIONS else OTHERS.get(name)
    return call.args[place] if place is not None and len(call.args) > place else None


def _direct(
    call: ast.Call, around: ast.FunctionDef | None, constants: dict[str, str], trees: dict[Path, ast.Module]
) -> Iterator[Site]:
    """Yields the sites of a call that carries a code; their file is still empty."""
    code = _code_of(call)
    if code is None:
        return
    place = OTHERS.get(_name(call), 0)
    message = told(call.args[place + 1], constants) if len(call.args) > place + 1 else ""
    first = call.args[0]
    status = first.value if isinstance(first, ast.Constant) and isinstance(first.value, int) else 0
    for word in _words(code, around, trees):
        yield Site(word, _name(call).replace("_error_response", "HttpRefusal"), message, "", status)


def _words(node: ast.expr, around: ast.FunctionDef | None, trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Yields the codes that an expression can be: constants, both branches, local names, attributes."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _words(node.body, around, trees)
        yield from _words(node.orelse, around, trees)
    elif isinstance(node, ast.Name) and around is not None:
        for inner in ast.walk(around):
            if isinstance(inner, ast.Assign) and any(_is_target(target, node.id) for target in inner.targets):
                values = inner.value.elts if isinstance(inner.value, ast.Tuple) else [inner.value]
                for value in values:
                    yield from _words(value, None, trees)
    elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.FormattedValue):
        end = node.values[1].value if isinstance(node.values[1], ast.Constant) else ""
        yield from (f"{word}{end}" for word in _words(node.values[0].value, around, trees))
    elif (known := ATTRIBUTES.get(ast.unparse(node))) is not None:
        yield from _attribute(*known, trees)


def _is_target(target: ast.expr, name: str) -> bool:
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return any(isinstance(part, ast.Name) and part.id == name for part in parts)


def _attribute(name: str, owner: str, trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Yields the values that an attribute of a class is given: by default, by keyword, or as the first argument."""
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                if node.value is not None:
                    yield from _words(node.value, None, trees)
            elif isinstance(node, ast.Call) and _name(node) == owner:
                given = [word.value for word in node.keywords if word.arg == name] or node.args[:1]
                yield from (word for value in given for word in _words(value, None, trees))


def _note_carrier(
    call: ast.Call, around: ast.FunctionDef | None, constants: dict[str, str], carriers: dict[str, _Carrier]
) -> None:
    """Remembers a function that raises with one of its own parameters as the code."""
    code = _code_of(call)
    if around is None or not isinstance(code, ast.Name) or _name(call) not in EXCEPTIONS:
        return
    names = [argument.arg for argument in (*around.args.args, *around.args.kwonlyargs)]
    if code.id in names:
        carrier = carriers.setdefault(around.name, _Carrier(names, code.id))
        carrier.sites.append((_name(call), call.args[1], constants))


def _passed_on(call: ast.Call, file: str, constants: dict[str, str], carriers: dict[str, _Carrier]) -> Iterator[Site]:
    carrier = carriers.get(_name(call))
    if carrier is None:
        return
    for value in carrier.argument(call, carrier.code):
        for word in _words(value, None, {}):
            for exception, message, known in carrier.sites:
                given = carrier.argument(call, message.id) if isinstance(message, ast.Name) else []
                yield Site(word, exception, told(given[0], constants) if given else told(message, known), file)


def _faults(trees: dict[Path, ast.Module]) -> Iterator[Site]:
    """Yields codes that a row of a table holds: faults of a series, states of a file, outcomes of a step."""
    for path, tree in trees.items():
        file = str(path.relative_to(SOURCE))
        for node in ast.walk(tree):
            owner, cause = HOLDERS.get(getattr(node, "name", ""), ("", ""))
            if isinstance(node, ast.FunctionDef) and owner == file:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Constant) and CODE.fullmatch(str(inner.value)):
                        yield Site(str(inner.value), "InputRefused", cause, file)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and file == "experiments/run.py":
                for word in _words(node.elts[0], None, {}):
                    yield Site(word, "CaseOutcome", told(node.elts[1]), file)


def told(node: ast.expr, constants: dict[str, str] | None = None) -> str:
    """Returns the text of a message, with `…` in place of each value; `constants` are texts by name."""
    known = constants or {}
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return re.sub("…+", "…", "".join(told(part, known) for part in node.values))
    if isinstance(node, ast.FormattedValue):
        return told(node.value, known) if isinstance(node.value, ast.Name) else "…"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return told(node.left, known) + told(node.right, known)
    return known.get(node.id, "…") if isinstance(node, ast.Name) else "…"


def _constants(tree: ast.Module) -> dict[str, str]:
    """Returns the texts that a module gives a name to."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
