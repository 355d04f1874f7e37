"""What Orchestra's expressions look like."""

import ast

from adelt.definition.model import Pipeline
from adelt.export.conditions import compared, input_of, nullable, parse


class Expressions:
    """Conditions in Orchestra's expressions."""

    never = "1 == 0"

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def good(self, task: str) -> str:
        """The task succeeded, or failed and was allowed to."""
        return f"task_groups['{task}'].all().status in ['SUCCEEDED', 'WARNING']"

    def failed(self, task: str) -> str:
        """The task failed, and was not allowed to."""
        return f"task_groups['{task}'].any().status == 'FAILED'"

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
                return self._value(node)

    def _compare(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        words: dict[type[ast.cmpop], str] = {
            ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
            ast.NotIn: "not in",
        }  # fmt: skip
        return f"{self._value(left)} {words[type(operator)]} {self._value(right)}"

    def _value(self, node: ast.expr) -> str:
        if isinstance(node, ast.List):
            return f"[{', '.join(self._value(item) for item in node.elts)}]"
        name = input_of(node)
        if name is not None:
            spec = self._pipeline.inputs[name]
            if spec.type == "array":
                raise ValueError(f"`inputs.{name}` is a list, which Orchestra is given as one text")
            if nullable(spec) and spec.type not in ("string", "date"):
                raise ValueError(f"`inputs.{name}` may have no value, which Orchestra cannot compare")
            return f"inputs.{name}"
        if isinstance(node, ast.Constant):
            return "''" if node.value is None else repr(node.value)
        words = {"true": "True", "false": "False", "null": "''"}
        if isinstance(node, ast.Name) and node.id in words:
            return words[node.id]
        raise ValueError("the condition is too involved for an expression of Orchestra")
