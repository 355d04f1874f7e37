"""The pipelines of pipelines/*.yml as Airflow DAGs; Airflow finds them in this module.

It runs in Airflow's own environment: Airflow, PyYAML and pydantic, and of adelt only the packages that are pure.
"""

import gc
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Deployed, the project's files lie beside this one: the folder of DAGs is all that a DAG processor is sure to see.
ROOT = HERE / "project" if (HERE / "project").is_dir() else HERE.parents[2]
PROJECT = Path(os.environ.get("ADELT_DAGS_PROJECT") or ROOT)
for folder in (HERE, ROOT / "python"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from adelt_airflow.load import dags  # noqa: E402

# Nothing that is made here is garbage; looking for some would take as long as making it.
collecting = gc.isenabled()
gc.disable()
try:
    globals().update({dag.dag_id: dag for dag in dags(PROJECT)})
finally:
    if not gc.get_freeze_count():  # else what Airflow has frozen would thaw
        gc.freeze()  # both together make everything old at once: the next look at what is young passes it by
        gc.unfreeze()
    if collecting:
        gc.enable()
