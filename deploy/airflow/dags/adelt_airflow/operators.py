"""The operators that call `adelt task`: in the worker's environment, or in a pod."""

import json
from functools import cached_property
from typing import Any

from .api import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    Asset,
    BaseOperator,
    BashOperator,
    SubprocessHook,
)

DO_NOT_RETRY = 2


class Outcome(BaseOperator):
    """What an exit code means, whatever runs the command.

    2 fails at once, as no retry can help. A task that may fail is a warning after its last try. The tables that were
    written become events of assets, through the alias among the outlets, and outputs the result of the task.

    Attributes:
        allow_failure: Whether a failure is a warning. Not an argument: Airflow spends as long on each class with an
            `__init__` as on a whole operator.
    """

    allow_failure = False

    @property
    def exit_code(self) -> int | None:
        """How the command ended, if that is known."""
        return None

    def execute(self, context: Any) -> Any:
        """Run the command."""
        return self._judged(super().execute, context)

    def _judged(self, run: Any, context: Any, **more: Any) -> Any:
        try:
            value = run(context, **more)
        except AirflowSkipException:
            raise
        except (AirflowException, AirflowTaskTimeout) as error:
            hopeless = self.exit_code == DO_NOT_RETRY
            if self.allow_failure and (hopeless or context["ti"].try_number > context["ti"].max_tries):
                if isinstance(error, AirflowTaskTimeout):
                    self.on_kill()
                self.log.warning("WARNING: failed, and was allowed to: %s", error)
                return {}
            if hopeless:
                raise AirflowFailException(f"{error} A retry cannot help.") from error
            raise
        return self._handed_on(value, context)

    def _handed_on(self, value: Any, context: Any) -> Any:
        """Outputs of the task, once its assets are told to Airflow."""
        try:
            told = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            told = None
        if not isinstance(told, dict) or "outputs" not in told:
            return {}
        for alias in self.outlets:
            for name in told["assets"]:
                context["outlet_events"][alias].add(Asset(asset_uri(name)))
        return told["outputs"]


class AdeltBashOperator(Outcome, BashOperator):
    """`adelt task` as a process of the worker."""

    @cached_property
    def subprocess_hook(self) -> "RememberingHook":
        """What starts the process."""
        return RememberingHook()

    @property
    def exit_code(self) -> int | None:
        """How the command ended."""
        return self.subprocess_hook.exit_code


class MayFailBashOperator(AdeltBashOperator):
    """The same for a task that may fail."""

    allow_failure = True


class RememberingHook(SubprocessHook):
    """Remembers the exit code, which the operator does not hand on."""

    exit_code: int | None = None

    def run_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command."""
        self.exit_code = None
        result = super().run_command(*args, **kwargs)
        self.exit_code = result.exit_code
        return result


def asset_uri(table: str) -> str:
    """The asset of a table, such as `adelt://raw_dv360/report_standard`."""
    dataset, _, name = table.partition(".")
    return f"adelt://{dataset}/{name}"
