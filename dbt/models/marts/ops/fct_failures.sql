with

tries as (

    select
        tasks.*,
        runs.interval_start,
        runs.interval_end,
        substr({{ without_numbers('tasks.message') }}, 1, 200) as pattern
    from {{ ref('fct_task_runs') }} as tasks
    left join {{ ref('fct_pipeline_runs') }} as runs on tasks.pipeline_run_id = runs.pipeline_run_id
    where coalesce(tasks.attempt, 1) > 0

),

-- Failures since which that very task, with its item, has succeeded for their days (Orchestra tells no days).
mended as (

    select distinct failed.task_run_id
    from tries as failed
    inner join tries as succeeded
        on
            coalesce(failed.env_id, '') = coalesce(succeeded.env_id, '')
            and failed.pipeline_id = succeeded.pipeline_id
            and failed.task_name = succeeded.task_name
            and failed.completed_at < succeeded.completed_at
    where
        failed.is_failure
        and not succeeded.is_failure
        and succeeded.status in ('SUCCEEDED', 'WARNING')
        and (
            failed.interval_start is null
            or (
                succeeded.interval_start <= failed.interval_start
                and failed.interval_end <= succeeded.interval_end
            )
        )

),

failures as (

    select
        tries.*,
        mended.task_run_id is not null as is_over,
        row_number() over (
            partition by
                tries.env_id, tries.pipeline_id, tries.task_id, tries.cause, tries.pattern
            order by tries.completed_at desc, tries.task_run_id desc
        ) as recency
    from tries
    left join mended on tries.task_run_id = mended.task_run_id
    where tries.is_failure

),

grouped as (

    select
        env_id,
        pipeline_id,
        task_id,
        cause,
        pattern,
        max(env_name) as env_name,
        max(pipeline_name) as pipeline_name,
        count(*) as failures,
        count(distinct pipeline_run_id) as runs,
        {{ count_where('not is_over') }} as failures_open,
        min(completed_at) as first_failed_at,
        max(completed_at) as last_failed_at,
        max(case when recency = 1 then message end) as example_message,
        max(case when recency = 1 then task_run_id end) as example_task_run_id
    from failures
    group by 1, 2, 3, 4, 5

),

final as (

    select
        {{ joined(['env_id', 'pipeline_id', 'task_id', 'cause', 'pattern']) }} as failure_key,
        grouped.*
    from grouped

)

select * from final
