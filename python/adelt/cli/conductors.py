"""Who conducts the chunks of a backfill: this machine, or another engine that is told to."""

from collections.abc import Callable

from adelt import cost, preview, warm
from adelt.backfill import BackfillPlan, PlannedChunk, Spec, conduct
from adelt.backfill.conduct import Ended
from adelt.errors import DefinitionErrors, InputError
from adelt.ledger import Ledger
from adelt.ledger.backfills import Backfill
from adelt.run import events, workers
from adelt.settings import Settings
from adelt_sources.warehouse import BigQuery

Listener = Callable[[events.Event], None]
OnEnd = Callable[[Ended], None]


class Here:
    """Chunks are runs of this machine."""

    def __init__(self, here: Settings) -> None:
        self._here, self.place = here, here.environment

    def check(self, chunks: list[PlannedChunk]) -> None:
        """See that no chunk would cost more than the target allows a run; the plan itself has been checked.

        Raises:
            InputError: One would.
        """
        if isinstance(self._here.warehouse, BigQuery) and self._here.warehouse.max_run_bytes is not None:
            for chunk in chunks:
                shown = preview.preview(
                    self._here,
                    chunk.definition,
                    chunk.interval,
                    chunk.inputs,
                    chunk.select,
                    force=chunk.force,
                )
                cost.check(self._here, cost.estimate(self._here, [shown]).values())

    def conduct(
        self, ledger: Ledger, found: Backfill, plan: BackfillPlan, listener: Listener, on_end: OnEnd
    ) -> int:
        """Do what is missing; the exit code."""
        with workers.opened(warm.server(self._here)) as forked:
            return conduct(self._here, ledger, found, plan, forked, listener, on_end)


class Elsewhere:
    """Chunks are runs of another engine."""

    def __init__(self, name: str, here: Settings, *, retry_unknown: bool) -> None:
        from adelt.backfill.remote import connect  # late: backfills here need no HTTP client
        from adelt.backfill.remote.conduct import Pause

        self._pause = Pause()
        self._engine = connect(name, here, self._pause.sleep)
        self._patience, self._retry_unknown = here.patience, retry_unknown
        self.place = self._engine.place

    def check(self, chunks: list[PlannedChunk]) -> None:
        """See that the engine can do all of them, before it is told to do one."""
        if problems := self._engine.check(chunks):
            raise DefinitionErrors(problems)

    def conduct(
        self, ledger: Ledger, found: Backfill, plan: BackfillPlan, listener: Listener, on_end: OnEnd
    ) -> int:
        """Have the engine do what is missing, and watch it; the exit code."""
        from adelt.backfill.remote.conduct import conduct_elsewhere

        return conduct_elsewhere(
            ledger, found, plan, self._engine, self._pause, listener, on_end,
            patience=self._patience, retry_unknown=self._retry_unknown,
        )  # fmt: skip


def conductor(spec: Spec, here: Settings, target: str | None, *, retry_unknown: bool) -> Here | Elsewhere:
    """Who conducts a backfill.

    Args:
        spec: What is asked for.
        here: Settings.
        target: Target that was asked for on the command line.
        retry_unknown: Whether to start again what may have been started.

    Raises:
        InputError: An option does not go with the engine, or the engine's address or secrets are wrong.
    """
    if spec.engine == "local":
        if retry_unknown:
            raise InputError("what runs here is never unknown", where="--retry-unknown", fix="leave it out")
        return Here(here)
    if target:
        raise InputError(
            f"--target says what this machine loads, and {spec.engine} loads what it is set up for",
            where="--target",
            fix="leave it out",
        )
    return Elsewhere(spec.engine, here, retry_unknown=retry_unknown)
