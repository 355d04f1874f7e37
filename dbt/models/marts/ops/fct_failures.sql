with

tries as (

    select
        tasks.*,
        substr({{ without_numbers('message') }}, 1, 200) as pattern
    from {{ ref('fct_task_runs') }} as tasks
    where coalesce(attempt, 1) > 0

),

successes as (

    select
        env_id,
        pipeline_id,
        task_name,
        max(completed_at) as last_success_at
    from tries
    where
        status in ('SUCCEEDED', 'WARNING')
        and not is_failure
    group by 1, 2, 3

),

-- For each failure: whether that very task, with its item, has succeeded since.
failures as (

    select
        tries.*,
        coalesce(successes.last_success_at > tries.completed_at, false) as is_over,
        row_number() over (
            partition by
                tries.env_id, tries.pipeline_id, tries.task_id, tries.cause, tries.pattern
            order by tries.completed_at desc, tries.task_run_id desc
        ) as recency
    from tries
    left join successes
        on
            coalesce(tries.env_id, '') = coalesce(successes.env_id, '')
            and tries.pipeline_id = successes.pipeline_id
            and tries.task_name = successes.task_name
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
