with

tries as (

    {{ newest_rows(ref('stg_ops__task_runs'), 'task_run_id') | indent(4) }}

),

operations as (

    {{ newest_rows(ref('stg_ops__operations'), 'operation_id') | indent(4) }}

),

done as (

    select
        task_run_id,
        {{ total("case when operation_type = 'INGESTION' then rows_affected end") }} as rows_loaded,
        {{ total("case when operation_type = 'INGESTION' then bytes end") }} as bytes_loaded,
        {{ total('bytes_billed') }} as bytes_billed,
        {{ total('slot_ms') }} as slot_ms
    from operations
    group by 1

),

joined as (

    select
        tries.*,
        done.rows_loaded,
        done.bytes_loaded,
        done.bytes_billed,
        done.slot_ms,
        coalesce(tries.status, '') = 'FAILED'
        or (coalesce(tries.status, '') = 'WARNING' and coalesce(tries.exit_code, 0) != 0) as is_failure,
        row_number() over (
            partition by tries.pipeline_run_id, tries.task_name
            order by coalesce(tries.attempt, 1) desc, tries.task_run_id desc
        ) = 1 as is_last_attempt
    from tries
    left join done on tries.task_run_id = done.task_run_id

),

final as (

    select
        task_run_id,
        pipeline_run_id,
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        task_id,
        task_name,
        kind,
        integration,
        attempt,
        is_last_attempt,
        status,
        is_failure,
        case
            when not is_failure then null
            when message like 'took longer than %' then 'timeout'
            when exit_code in (2, 78) then 'bad_input'
            when exit_code = 75 then 'busy'
            when exit_code < 0 or exit_code > 128 or message like 'the process died %' then 'killed'
            when kind = 'ingest' then 'source'
            when kind = 'dbt' or integration like 'DBT%' then 'models'
            else 'other'
        end as cause,
        message,
        exit_code,
        {{ utc_date('coalesce(started_at, created_at)') }} as run_date,
        started_at,
        completed_at,
        case
            when coalesce(attempt, 1) > 0 then {{ seconds_between('started_at', 'completed_at') }}
        end as duration_s,
        rows_loaded,
        bytes_loaded,
        bytes_billed,
        slot_ms,
        api_requests
    from joined

)

select * from final
