with

loading_tasks as (

    select distinct task_run_id from {{ ref('int_table_loads') }}

),

-- Rows and seconds of loads, and seconds of tasks that load no table.
measured as (

    select
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        table_name as subject,
        'rows' as metric,
        pipeline_run_id,
        task_run_id,
        operation_id as measure_id,
        interval_days,
        completed_at,
        {{ money('row_count') }} as measure
    from {{ ref('int_table_loads') }}
    where
        not is_backfill
        and row_count is not null

    union all

    select
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        table_name as subject,
        'seconds' as metric,
        pipeline_run_id,
        task_run_id,
        operation_id as measure_id,
        interval_days,
        completed_at,
        duration_s as measure
    from {{ ref('int_table_loads') }}
    where
        not is_backfill
        and duration_s is not null

    union all

    select
        tasks.env_id,
        tasks.env_name,
        tasks.pipeline_id,
        tasks.pipeline_name,
        concat(tasks.pipeline_name, '.', tasks.task_name) as subject,
        'seconds' as metric,
        tasks.pipeline_run_id,
        tasks.task_run_id,
        tasks.task_run_id as measure_id,
        coalesce({{ days_between('runs.interval_start', 'runs.interval_end') }}, 0) as interval_days,
        tasks.completed_at,
        tasks.duration_s as measure
    from {{ ref('fct_task_runs') }} as tasks
    inner join {{ ref('fct_pipeline_runs') }} as runs on tasks.pipeline_run_id = runs.pipeline_run_id
    left join loading_tasks on tasks.task_run_id = loading_tasks.task_run_id
    where
        tasks.status = 'SUCCEEDED'
        and tasks.duration_s is not null
        and coalesce(tasks.kind, '') not in ('sensor', 'pipeline')
        and runs.backfill_id is null
        and loading_tasks.task_run_id is null

),

-- Like is compared with like: the same table or task, in the same pipeline, for intervals of the same length.
series as (

    select
        measured.*,
        {{ joined(['env_id', 'pipeline_id', 'subject', 'metric', 'interval_days']) }} as series_key
    from measured
    where completed_at is not null

),

ordered as (

    select
        series.*,
        row_number() over (order by series_key, completed_at, measure_id) as number,
        row_number() over (partition by series_key order by completed_at, measure_id) as place
    from series

),

steps as (

    {{ steps_back(var('anomaly_history')) | indent(4) }}

),

-- Each with those before it, found by their numbers: the cost grows with the history, not with its square.
earlier as (

    select
        later.number,
        earlier.measure,
        row_number() over (partition by later.number order by earlier.measure, earlier.number) as position,
        count(*) over (partition by later.number) as runs
    from ordered as later
    cross join steps
    inner join ordered as earlier on later.number - steps.back = earlier.number
    where later.place > steps.back

),

medians as (

    select
        number,
        max(runs) as runs,
        min(measure) as least,
        {{ median('measure', 'position', 'runs') }} as usual
    from earlier
    group by 1

),

distances as (

    select
        earlier.number,
        medians.runs,
        abs(earlier.measure - medians.usual) as distance,
        row_number() over (
            partition by earlier.number
            order by abs(earlier.measure - medians.usual), earlier.position
        ) as position
    from earlier
    inner join medians on earlier.number = medians.number

),

deviations as (

    select
        number,
        {{ median('distance', 'position', 'runs') }} as deviation
    from distances
    group by 1

),

judged as (

    select
        ordered.*,
        medians.runs as runs_before,
        medians.usual,
        greatest(
            {{ money(var('anomaly_deviations') ~ ' * deviations.deviation') }},
            {{ money("cast('" ~ var('anomaly_tolerance') ~ "' as numeric(9, 6)) * medians.usual") }},
            case ordered.metric
                when 'seconds' then {{ money(var('anomaly_min_seconds')) }}
                else {{ money(var('anomaly_min_rows')) }}
            end
        ) as allowed,
        medians.least
    from ordered
    inner join medians on ordered.number = medians.number
    inner join deviations on ordered.number = deviations.number
    where medians.runs >= {{ var('anomaly_min_history') }}

),

final as (

    select
        judged.*,
        case
            when metric = 'seconds' and measure > usual + allowed then 'slow'
            when metric = 'rows' and measure = 0 and least > 0 then 'no_rows'
            when metric = 'rows' and measure < usual - allowed then 'few_rows'
            when metric = 'rows' and measure > usual + allowed then 'many_rows'
        end as kind
    from judged

)

select * from final
