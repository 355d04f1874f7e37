"""A project with a dbt project of four models, on DuckDB: what dbt does with it takes a second or two."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ADELT = str(Path(sys.executable).with_name("adelt"))
FILES = {
    "dbt/dbt_project.yml": "{name: adelt, version: '1.0', profile: adelt, model-paths: [models],"
    " flags: {send_anonymous_usage_stats: false}}\n",
    "dbt/profiles.yml": "adelt: {target: local, outputs: {local: {type: duckdb, schema: marts_small,"
    """ path: "{{ env_var('ADELT_WAREHOUSE', ':memory:') }}"}}}\n""",
    "dbt/models/one.sql": "select '{{ env_var('ADELT_WINDOW_START', 'no window') }}' as day, 1 as n\n",
    "dbt/models/two.sql": "select day, n + 1 as n from {{ ref('one') }}\n",
    "dbt/models/four.sql": "select one.day, two.n + 2 as n from {{ ref('one') }} join {{ ref('two') }} using (day)\n",
    "dbt/models/five.sql": "select day, n + 1 as n from {{ ref('four') }}\n",
    "dbt/models/models.yml": """
models:
  - {name: one, columns: [{name: n, data_tests: [unique, not_null]}]}
  - {name: two, columns: [{name: day, data_tests: [{relationships: {arguments: {to: ref('one'), field: day}}}]}]}
  - {name: four, config: {materialized: table}}
  - {name: five, config: {materialized: table}}
""",
    "pipelines/small.yml": """
version: 1
name: small
interval: {every: day}
tasks:
  before: {run: "true"}
  build:
    needs: [before]
    retries: {max: 2, delay: 1s}
    timeout: 10m
    env: {ADELT_WINDOW_START: "{{ window.start | date }}"}
    dbt: {exclude: "resource_type:unit_test"}
  after: {needs: [build], run: "true"}
  told: {needs: [build], if: failure, run: "true"}
""",
}


class Small:
    """The project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "warehouse.duckdb"
        for name, text in FILES.items():
            self.write(name, text)
        self.env = {
            "ADELT_PROJECT": str(folder),
            "ADELT_DAGS_PROJECT": str(folder),
            "ADELT_HOME": str(folder / ".adelt"),
            "ADELT_WAREHOUSE": str(self.file),
        }

    def write(self, name: str, text: str) -> Path:
        """Put a file there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def adelt(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Call the command."""
        return subprocess.run(
            [ADELT, *words],
            env={**os.environ, **self.env, **(env or {})},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
