with

-- How the last attempt at a task ended, in every run that tried.
ended as (

    select
        tasks.env_id,
        tasks.env_name,
        tasks.pipeline_id,
        tasks.pipeline_name,
        tasks.task_name,
        tasks.pipeline_run_id,
        tasks.task_run_id,
        tasks.completed_at,
        case when tasks.is_failure then 1 else 0 end as failed,
        {{ joined(['tasks.env_id', 'tasks.pipeline_id', 'tasks.task_name']) }} as series_key
    from {{ ref('fct_task_runs') }} as tasks
    inner join {{ ref('fct_pipeline_runs') }} as runs on tasks.pipeline_run_id = runs.pipeline_run_id
    where
        tasks.is_last_attempt
        and coalesce(tasks.attempt, 1) > 0
        and tasks.status in ('SUCCEEDED', 'WARNING', 'FAILED')
        and tasks.completed_at is not null
        and runs.backfill_id is null

),

counted as (

    select
        ended.*,
        sum(failed) over (
            partition by series_key order by completed_at, task_run_id
            {{ frame_of_last_runs() }}
        ) as failed_now,
        sum(failed) over (
            partition by series_key order by completed_at, task_run_id
            {{ frame_of_runs_before() }}
        ) as failed_before,
        count(*) over (
            partition by series_key order by completed_at, task_run_id
            {{ frame_of_runs_before() }}
        ) as runs_before,
        row_number() over (partition by series_key order by completed_at, task_run_id) as place
    from ended

),

final as (

    select
        counted.*,
        case
            when
                failed = 1
                and runs_before >= {{ var('anomaly_min_history') }}
                and failed_now >= {{ var('anomaly_failures') }}
                and 2 * failed_before * {{ var('anomaly_last_runs') }} <= failed_now * runs_before
                then 'failing'
        end as kind
    from counted

)

select * from final
