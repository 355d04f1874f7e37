"""The sandbox's own endpoints below /sandbox: clock, faults, statistics, truth."""

import io
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from adelt_sandbox.auth import Accounts
from adelt_sandbox.clock import Clock, format_instant, parse_instant
from adelt_sandbox.cloud import SecretManager
from adelt_sandbox.config import Config
from adelt_sandbox.errors import GoogleError, bad_field, not_found
from adelt_sandbox.faults import Schedule
from adelt_sandbox.http import Call, Reply, json_reply
from adelt_sandbox.stats import Stats
from adelt_sandbox.universe import Universe


class Control:
    """Answers the requests that steer a sandbox; they need no token and never fail on purpose."""

    def __init__(
        self,
        config: Config,
        universe: Universe,
        clock: Clock,
        schedule: Schedule,
        stats: Stats,
        accounts: Accounts,
        secrets: SecretManager,
    ) -> None:
        self._config = config
        self._universe = universe
        self._clock = clock
        self._schedule = schedule
        self._stats = stats
        self._accounts = accounts
        self._secrets = secrets

    def answer(self, call: Call) -> Reply:
        """Answer one request below /sandbox/."""
        path = call.plain_path.removeprefix("/sandbox").strip("/")
        routes: dict[tuple[str, str], Callable[[Call], Reply]] = {
            ("GET", "health"): self._health,
            ("GET", "clock"): self._show_clock,
            ("POST", "clock"): self._move_clock,
            ("GET", "faults"): lambda _: json_reply(self._schedule.state()),
            ("POST", "faults"): self._load_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "stats"): lambda _: json_reply(self._stats.state()),
            ("POST", "secrets"): self._secrets.put,
            ("POST", "revoke"): lambda _: json_reply({"revoked": self._accounts.revoke_all()}),
        }
        if call.method == "GET" and (path == "truth" or path.startswith("truth/")):
            return self._truth(call, path.removeprefix("truth").strip("/"))
        if (call.method, path) in routes:
            return routes[call.method, path](call)
        known = sorted({name for _, name in routes} | {"truth"})
        if path in known:
            raise GoogleError(405, f"{call.method} is not allowed for /sandbox/{path}")
        raise not_found(f"/sandbox/{path} does not exist; there are {', '.join(known)}.")

    def _health(self, _: Call) -> Reply:
        return json_reply(
            {
                "status": "ok",
                "seed": self._config.seed,
                "size": self._config.size,
                "now": format_instant(self._clock.now),
                "partner_ids": [str(partner) for partner in self._universe.partner_ids],
                "profile_ids": [str(profile["profileId"]) for profile in self._universe.world.profiles],
                "credentials": str(self._config.state_dir / "credentials.json"),
                "google_apis": self._config.url,
            }
        )

    def _show_clock(self, _: Call) -> Reply:
        return json_reply({"now": format_instant(self._clock.now)})

    def _move_clock(self, call: Call) -> Reply:
        body = call.json_body()
        if set(body) == {"now"}:
            try:
                self._clock.set(parse_instant(str(body["now"])))
            except ValueError:
                raise bad_field("now", f"Not an ISO 8601 instant: {body['now']!r}") from None
        elif set(body) == {"advance_seconds"} and isinstance(body["advance_seconds"], int | float):
            self._clock.advance(body["advance_seconds"])
        else:
            raise bad_field("clock", 'Send {"now": "2026-01-06T06:00:00Z"} or {"advance_seconds": 86400}.')
        return self._show_clock(call)

    def _load_faults(self, call: Call) -> Reply:
        try:
            document: Any = json.loads(call.body or b"null")
        except ValueError as error:
            raise bad_field("faults", f"Not JSON: {error}") from None
        return json_reply({"loaded": self._schedule.load(document)})

    def _clear_faults(self, _: Call) -> Reply:
        self._schedule.clear()
        return json_reply(self._schedule.state())

    def _truth(self, call: Call, table: str) -> Reply:
        from adelt_sandbox.world import truth

        if not table:
            return json_reply({"tables": list(truth.TABLES)})
        name = table.replace("/", ".")
        try:
            rows = truth.rows(
                self._universe.world,
                name,
                as_of=parse_instant(call.param("as_of")) if call.param("as_of") else self._clock.now,
                start=date.fromisoformat(call.param("start") or "1970-01-01"),
                end=date.fromisoformat(call.param("end") or "9999-12-31"),
                observed=[_observation(text) for text in call.params("observed")],
                erf=[date.fromisoformat(text) for text in call.params("erf")],
            )
        except KeyError as error:
            raise not_found(f"No truth about {name}: {error}") from None
        except ValueError as error:
            raise bad_field("query", f"{error}; dates are 2026-01-05, observed is DATE@INSTANT.") from None
        columns = list(dict.fromkeys(key for row in rows for key in row))
        if call.param("format") == "arrow":
            sink = io.BytesIO()
            arrow = pa.Table.from_pylist(rows)
            with pa.ipc.new_stream(sink, arrow.schema) as writer:
                writer.write_table(arrow)
            return Reply(200, {"Content-Type": "application/vnd.apache.arrow.stream"}, sink.getvalue())
        body = json.dumps({"table": name, "columns": columns, "rows": rows}, default=_plain)
        return Reply(200, {"Content-Type": "application/json; charset=UTF-8"}, body.encode())


def _observation(text: str) -> Any:
    from adelt_sandbox.world import truth

    day, _, instant = text.partition("@")
    return truth.Observation(date.fromisoformat(day), parse_instant(instant))


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no JSON form")
