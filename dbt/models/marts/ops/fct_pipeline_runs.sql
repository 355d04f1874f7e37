with

runs as (

    {{ newest_rows(ref('stg_ops__pipeline_runs'), 'pipeline_run_id') | indent(4) }}

),

tasks as (

    select
        pipeline_run_id,
        {{ count_where('is_last_attempt') }} as tasks,
        {{ count_where("is_last_attempt and status = 'SUCCEEDED'") }} as tasks_succeeded,
        {{ count_where("is_last_attempt and status = 'WARNING'") }} as tasks_warned,
        {{ count_where("is_last_attempt and status = 'FAILED'") }} as tasks_failed,
        {{ count_where("is_last_attempt and status = 'SKIPPED'") }} as tasks_skipped,
        {{ count_where("is_last_attempt and status = 'CANCELLED'") }} as tasks_cancelled,
        {{ count_where('coalesce(attempt, 1) > 0') }} as attempts,
        {{ total('rows_loaded') }} as rows_loaded,
        {{ total('bytes_loaded') }} as bytes_loaded,
        {{ total('bytes_billed') }} as bytes_billed,
        {{ total('slot_ms') }} as slot_ms,
        {{ total('api_requests') }} as api_requests
    from {{ ref('fct_task_runs') }}
    group by 1

),

final as (

    select
        runs.pipeline_run_id,
        runs.env_id,
        runs.env_name,
        runs.pipeline_id,
        runs.pipeline_name,
        runs.backfill_id,
        runs.run_status as status,
        runs.message,
        runs.interval_start,
        runs.interval_end,
        {{ utc_date('coalesce(runs.started_at, runs.created_at)') }} as run_date,
        runs.created_at,
        runs.started_at,
        runs.completed_at,
        {{ seconds_between('runs.started_at', 'runs.completed_at') }} as duration_s,
        coalesce(tasks.tasks, 0) as tasks,
        coalesce(tasks.tasks_succeeded, 0) as tasks_succeeded,
        coalesce(tasks.tasks_warned, 0) as tasks_warned,
        coalesce(tasks.tasks_failed, 0) as tasks_failed,
        coalesce(tasks.tasks_skipped, 0) as tasks_skipped,
        coalesce(tasks.tasks_cancelled, 0) as tasks_cancelled,
        coalesce(tasks.attempts, 0) as attempts,
        tasks.rows_loaded,
        tasks.bytes_loaded,
        tasks.bytes_billed,
        tasks.slot_ms,
        tasks.api_requests
    from runs
    left join tasks on runs.pipeline_run_id = tasks.pipeline_run_id

)

select * from final
