"""The strict models have the keys that published files use (docs of the engines, blueprints), and refuse what is wrong."""

import pytest
import yaml

from adelt.errors import DefinitionErrors
from adelt.export import kestra_model as k
from adelt.export import orchestra_model as o
from adelt.export import read_kestra, read_orchestra

ORCHESTRA = {
    o.Pipeline: "version name pipeline webhook inputs schedule alerts sensors meta trigger_events configuration anomalies",
    o.Group: "tasks depends_on name matrix condition paused",
    o.Task: "integration integration_job parameters depends_on name connection treat_failure_as_warning operation_metadata "
    "alerts tags configuration paused anomalies condition",
    o.Input: "type default optional",
    o.Schedule: "name cron timezone environment run_inputs exclude branch",
    o.TriggerEvent: "type pipeline_id statuses run_inputs",
    o.Alert: "name statuses destinations custom_message",
    o.Destination: "integration destination connection_id",
    o.Webhook: "enabled run_inputs operation_metadata",
    o.Configuration: "retries retry_delay timeout concurrency",
    o.Matrix: "inputs sequential max_parallel continue_on_error",
    o.Sensor: "name cron timezone timeout_mins frequency_secs exclude run_inputs environments checks alerts",
    o.Check: "integration sensor_type connection parameters map_outputs",
    o.PythonParameters: "package_manager python_version source set_outputs build_command command environment_variables "
    "project_dir shallow_clone_dirs code branch",
    o.DbtParameters: "commands package_manager python_version project_dir shallow_clone_dirs use_state_orchestration branch "
    "warehouse_identifier environment_variables",
    o.QueryParameters: "query location set_outputs enable_drive_scope",
    o.Meta: "notes",
    o.MaxActive: "max_active",
}
KESTRA = {
    k.Flow: "id namespace tasks extend triggers inputs pluginDefaults errors variables labels concurrency outputs finally "
    "afterExecution retry sla checks quotas workerSelector policyRefs draft disabled description",
    k.Input: "id type defaults values required displayName dependsOn validator min max itemType description",
    k.Schedule: "id type cron withSeconds timezone inputs conditions disabled lateMaximumDelay recoverMissedSchedules stopAfter "
    "allowConcurrent description",
    k.Concurrency: "limit behavior",
    k.Retry: "type interval delayFactor maxAttempt maxDuration behavior warningOnRetry maxInterval minInterval",
    k.Shell: "id type description taskRunner retry inputFiles outputFiles containerImage timeout env beforeCommands commands "
    "runIf namespaceFiles assets allowFailure disabled",
}
EVERYTHING = """
version: v1
name: 'every key #tag'
meta: {notes: words}
anomalies: {}
inputs: {a: {type: number, default: 1, optional: true}, b: {type: list, default: []}, c: {type: dict}}
schedule:
  - {name: s, cron: '0 5 ? * * *', timezone: UTC, environment: prod, run_inputs: {a: 2}, exclude: ['2026-01-01'], branch: main}
trigger_events: [{type: pipeline, pipeline_id: '*', statuses: [SUCCEEDED, WARNING], run_inputs: {a: 3}}]
webhook: {enabled: true, run_inputs: {a: 4}}
configuration: {retries: 1, retry_delay: 120, timeout: 60, concurrency: {max_active: 2}}
alerts:
  - name: a
    statuses: [FAILED, WARNING, ANY_COMPLETED, SUCCEEDED, CANCELLED, SKIPPED, RUNNING_TIMEOUT]
    custom_message: hello
    destinations: [{integration: MICROSOFT_TEAMS, destination: x, connection_id: y}]
sensors:
  s:
    {name: s, cron: '0 8 * * ? *', timezone: UTC, timeout_mins: 7200, frequency_secs: 600, exclude: [], run_inputs: {},
     environments: [prod], alerts: [],
     checks: {c: {integration: AWS_S3, sensor_type: AWS_S3_FILE, connection: x, parameters: {}, map_outputs: {a: '1'}}}}
pipeline:
  g:
    depends_on: []
    name: ''
    condition: ${{ task_groups['g'].all().status in ['SUCCEEDED'] }}
    paused: false
    matrix: {inputs: {item: '${{ inputs.b }}'}, sequential: false, max_parallel: 2, continue_on_error: true}
    tasks:
      t:
        {integration: SLACK, integration_job: SEND_SLACK_MESSAGE, parameters: {text: x}, depends_on: [], name: t, connection: x,
         treat_failure_as_warning: true, operation_metadata: {}, alerts: [], tags: [x], configuration: {retries: 1},
         paused: false, anomalies: {}, condition: '${{ True }}'}
"""


def keys(model) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("model", "listed"), [*ORCHESTRA.items(), *KESTRA.items()], ids=lambda v: getattr(v, "__name__", "")
)
def test_the_keys_are_those_of_the_format(model, listed):
    assert keys(model) == set(listed.split())


def test_a_pipeline_with_every_key_is_read():
    found = read_orchestra.load(EVERYTHING)
    assert found.model_dump(exclude_none=True, mode="json") == yaml.safe_load(EVERYTHING)


FLOW = """
id: x
namespace: n
tasks:
  - {id: d, type: io.kestra.plugin.core.flow.Dag, tasks: [{task: {id: a, type: t}}, {task: {id: b, type: t}, dependsOn: [a]}]}
  - {id: c, type: io.kestra.plugin.scripts.shell.Commands, commands: [x], timeout: PT1M, retry: {type: constant, interval: PT1S}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: c,", "id: a,"),
        ("dependsOn: [a]", "dependsOn: [z]"),
        ("dependsOn", "dependOn"),
        ("PT1M", "1m"),
        ("constant", "linear"),
        ("id: x", "id: 'x y'"),
        ("namespace: n", "namespace: N"),
        ("commands: [x]", "command: x"),
        ("tasks:\n", "concurrency: {limit: 0}\ntasks:\n"),
        ("tasks:\n", "inputs: [{id: a, type: LIST}]\ntasks:\n"),
    ],
)
def test_the_model_of_kestra_refuses(old, new):
    assert read_kestra.load(FLOW).id == "x"
    assert old in FLOW
    with pytest.raises(DefinitionErrors):
        read_kestra.load(FLOW.replace(old, new, 1), "f.yml")
