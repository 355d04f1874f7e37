"""What Kestra's expressions and durations look like."""

import ast
from datetime import timedelta
from typing import Any

from adelt.definition.model import Input, Pipeline
from adelt.export.conditions import compared, input_of, nullable, parse


class Pebble:
    """Conditions in Kestra's expressions. Every task may fail without ending the flow, so WARNING is a failure."""

    never = "false"

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def good(self, task: str) -> str:
        """The task succeeded, or failed and was allowed to."""
        found = f"tasks.{task}.state == 'SUCCESS'"
        return f"{found} or {self.warned(task)}" if self._pipeline.tasks[task].allow_failure else found

    def failed(self, task: str) -> str:
        """The task failed, and was not allowed to."""
        return self.warned(task)

    def warned(self, task: str) -> str:
        """The task failed, allowed or not."""
        return f"tasks.{task}.state == 'WARNING'"

    def holds(self, condition: str) -> str:
        """A condition over inputs; raises ValueError when it cannot be said."""
        return self._say(parse(condition))

    def _say(self, node: ast.expr) -> str:
        match node:
            case ast.BoolOp():
                word = " and " if isinstance(node.op, ast.And) else " or "
                return word.join(f"({self._say(item)})" for item in node.values)
            case ast.UnaryOp():
                return f"not ({self._say(node.operand)})"
            case ast.Compare():
                return " and ".join(self._compare(*parts) for parts in compared(node))
            case _:
                return self._value(node, dates=False)

    def _compare(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        dates = any(self._is_date(side) for side in (left, right))
        if isinstance(operator, ast.In | ast.NotIn):
            found = f"({self._value(right, dates=False)} contains {self._value(left, dates=False)})"
            if self._is_date(left):
                raise ValueError("a date cannot be looked for in a list")
            return found if isinstance(operator, ast.In) else f"not {found}"
        words: dict[type[ast.cmpop], str] = {
            ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
        }  # fmt: skip
        return f"{self._value(left, dates=dates)} {words[type(operator)]} {self._value(right, dates=dates)}"

    def _is_date(self, node: ast.expr) -> bool:
        name = input_of(node)
        return name is not None and self._pipeline.inputs[name].type == "date"

    def _value(self, node: ast.expr, *, dates: bool) -> str:
        if isinstance(node, ast.List):
            return f"[{', '.join(self._value(item, dates=dates) for item in node.elts)}]"
        name = input_of(node)
        if name is not None:
            found = f"(inputs.{name} ?? null)" if nullable(self._pipeline.inputs[name]) else f"inputs.{name}"
            return f"({found} | date('yyyyMMdd') | number)" if dates else found
        value = (
            node.value
            if isinstance(node, ast.Constant)
            else {"true": True, "false": False, "null": None}.get(getattr(node, "id", ""), ...)
        )
        if value is ...:
            raise ValueError("the condition is too involved for an expression of Kestra")
        if dates and isinstance(value, str):
            return value.replace("-", "")
        return _literal(value)


def input_value(name: str, spec: Input) -> str:
    """An input as text; empty without a value, a list as JSON."""
    if nullable(spec) and spec.type == "array":
        return f"{{{{ (inputs.{name} ?? null) is null ? '' : (inputs.{name} | toJson) }}}}"
    if nullable(spec):
        return f"{{{{ inputs.{name} ?? '' }}}}"
    return f"{{{{ inputs.{name} | toJson }}}}" if spec.type == "array" else f"{{{{ inputs.{name} }}}}"


def list_expression(path: tuple[str, ...]) -> str:
    """The list that a path of a definition names."""
    if path[0] == "inputs":
        return f"{{{{ inputs.{path[1]} }}}}"
    return f"{{{{ outputs['{path[1]}'].vars['{path[3]}'] }}}}"


def iso(duration: timedelta | None) -> str | None:
    """A duration as Kestra writes it, such as PT1H30M."""
    if duration is None:
        return None
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    text = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"PT{text or '0S'}"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def quoted(text: str) -> str:
    """A text inside an expression."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
