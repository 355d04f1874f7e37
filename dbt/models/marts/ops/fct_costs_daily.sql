with

daily as (

    select
        env_id,
        pipeline_id,
        run_date,
        max(env_name) as env_name,
        max(pipeline_name) as pipeline_name,
        count(distinct pipeline_run_id) as runs,
        {{ count_where('coalesce(attempt, 1) > 0') }} as attempts,
        {{ money('sum(duration_s)') }} as duration_s,
        {{ total('bytes_billed') }} as bytes_billed,
        {{ total('slot_ms') }} as slot_ms,
        {{ total('api_requests') }} as api_requests
    from {{ ref('fct_task_runs') }}
    where run_date is not null
    group by 1, 2, 3

),

final as (

    select
        {{ joined(['env_id', 'pipeline_id', 'run_date']) }} as cost_key,
        daily.*
    from daily

)

select * from final
