with

operations as (

    {{ newest_rows(ref('stg_ops__operations'), 'operation_id') | indent(4) }}

),

runs as (

    {{ newest_rows(ref('stg_ops__pipeline_runs'), 'pipeline_run_id') | indent(4) }}

),

loads as (

    select
        operations.operation_id,
        operations.task_run_id,
        operations.pipeline_run_id,
        operations.env_id,
        operations.env_name,
        operations.pipeline_id,
        operations.pipeline_name,
        operations.asset_id,
        operations.asset_name as table_name,
        operations.operation_type,
        runs.backfill_id is not null as is_backfill,
        runs.interval_start,
        runs.interval_end,
        coalesce({{ days_between('runs.interval_start', 'runs.interval_end') }}, 0) as interval_days,
        operations.completed_at,
        operations.rows_affected as row_count,
        operations.bytes as byte_count,
        {{ money('operations.operation_duration') }} as duration_s,
        operations.bytes_billed,
        operations.slot_ms
    from operations
    left join runs on operations.pipeline_run_id = runs.pipeline_run_id
    where
        operations.status = 'SUCCEEDED'
        and operations.operation_type in ('INGESTION', 'MATERIALISATION', 'SEED', 'SNAPSHOT')

)

select * from loads
