"""What Airflow 2.11 and Airflow 3 have under different names."""

# ruff: noqa: F401
import airflow

try:
    from airflow.sdk import (
        DAG,
        Asset,
        AssetAlias,
        BaseNotifier,
        BaseOperator,
        Param,
        Variable,
        get_parsing_context,
        task,
    )
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )

    try:  # 3.1
        from airflow.sdk import (
            DAG,
            Asset,
            AssetAlias,
            BaseNotifier,
            BaseOperator,
            Param,
            Variable,
            get_parsing_context,
            task,
        )
    except ImportError:  # 2.11
        from airflow import DAG
        from airflow.datasets import Dataset as Asset
        from airflow.datasets import DatasetAlias as AssetAlias
        from airflow.decorators import task
        from airflow.models.baseoperator import BaseOperator
        from airflow.models.param import Param
        from airflow.models.variable import Variable
        from airflow.notifications.basenotifier import BaseNotifier
        from airflow.utils.dag_parsing_context import get_parsing_context

try:
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:  # 2.11 without the provider
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.operators.bash import BashOperator
    from airflow.operators.empty import EmptyOperator

try:
    from airflow.sdk.definitions.param import ParamsDict
except ImportError:  # 2.11
    from airflow.models.param import ParamsDict

from airflow.timetables.interval import CronDataIntervalTimetable

VERSION = ".".join(airflow.__version__.split(".")[:2])
