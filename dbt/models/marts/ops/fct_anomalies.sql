-- The rule is in words in docs/operations.md.
with

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
    left join (select distinct task_run_id from {{ ref('int_table_loads') }}) as loads
        on tasks.task_run_id = loads.task_run_id
    where
        tasks.status = 'SUCCEEDED'
        and tasks.duration_s is not null
        and coalesce(tasks.kind, '') not in ('sensor', 'pipeline')
        and runs.backfill_id is null
        and loads.task_run_id is null

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
        row_number() over (partition by series_key order by completed_at, measure_id) as place
    from series

),

earlier as (

    select
        later.series_key,
        later.place,
        earlier.measure,
        row_number() over (
            partition by later.series_key, later.place
            order by earlier.measure, earlier.place
        ) as position,
        count(*) over (partition by later.series_key, later.place) as runs
    from ordered as later
    inner join ordered as earlier
        on
            later.series_key = earlier.series_key
            and earlier.place between later.place - {{ var('anomaly_history') }} and later.place - 1

),

medians as (

    select
        series_key,
        place,
        max(runs) as runs,
        min(measure) as least,
        {{ median('measure', 'position', 'runs') }} as usual
    from earlier
    group by 1, 2

),

distances as (

    select
        earlier.series_key,
        earlier.place,
        medians.runs,
        abs(earlier.measure - medians.usual) as distance,
        row_number() over (
            partition by earlier.series_key, earlier.place
            order by abs(earlier.measure - medians.usual), earlier.position
        ) as position
    from earlier
    inner join medians on earlier.series_key = medians.series_key and earlier.place = medians.place

),

deviations as (

    select
        series_key,
        place,
        {{ median('distance', 'position', 'runs') }} as deviation
    from distances
    group by 1, 2

),

judged as (

    select
        ordered.*,
        medians.runs as runs_before,
        medians.usual,
        greatest(
            {{ money(var('anomaly_deviations') ~ ' * deviations.deviation') }},
            {{ money("cast('" ~ var('anomaly_tolerance') ~ "' as numeric(9, 6)) * medians.usual") }},
            {{ money("case ordered.metric when 'seconds' then " ~ var('anomaly_min_seconds') ~ " else 0 end") }}
        ) as allowed,
        medians.least
    from ordered
    inner join medians on ordered.series_key = medians.series_key and ordered.place = medians.place
    inner join deviations on ordered.series_key = deviations.series_key and ordered.place = deviations.place
    where medians.runs >= {{ var('anomaly_min_history') }}

),

named as (

    select
        judged.*,
        case
            when metric = 'seconds' and measure > usual + allowed then 'slow'
            when metric = 'rows' and measure = 0 and least > 0 then 'no_rows'
            when metric = 'rows' and measure < usual - allowed then 'few_rows'
            when metric = 'rows' and measure > usual + allowed then 'many_rows'
        end as kind
    from judged

),

-- Tasks that fail more often than they used to, by how their last attempt in each run ended.
ended as (

    select
        tasks.*,
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
            rows between {{ var('anomaly_last_runs') - 1 }} preceding and current row
        ) as failed_now,
        sum(failed) over (
            partition by series_key order by completed_at, task_run_id
            rows between
            {{ var('anomaly_last_runs') + var('anomaly_history') - 1 }} preceding
            and {{ var('anomaly_last_runs') }} preceding
        ) as failed_before,
        count(*) over (
            partition by series_key order by completed_at, task_run_id
            rows between
            {{ var('anomaly_last_runs') + var('anomaly_history') - 1 }} preceding
            and {{ var('anomaly_last_runs') }} preceding
        ) as runs_before,
        row_number() over (partition by series_key order by completed_at, task_run_id) as place
    from ended

),

failing as (

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

),

both_kinds as (

    select
        series_key,
        place,
        kind,
        metric,
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        subject,
        pipeline_run_id,
        task_run_id,
        completed_at,
        measure,
        usual,
        allowed,
        runs_before
    from named

    union all

    select
        series_key,
        place,
        kind,
        'failures' as metric,
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        concat(pipeline_name, '.', task_name) as subject,
        pipeline_run_id,
        task_run_id,
        completed_at,
        {{ money('failed_now') }} as measure,
        {{ money(var('anomaly_last_runs') ~ ' * failed_before / nullif(runs_before, 0)') }} as usual,
        {{ money(var('anomaly_failures') - 1) }} as allowed,
        runs_before
    from failing

),

followed as (

    select
        both_kinds.*,
        lag(kind) over (partition by metric, series_key order by place) as kind_before
    from both_kinds

),

newest as (

    select max(loaded_at) as as_of from {{ ref('stg_ops__task_runs') }}

),

final as (

    select
        {{ joined(['kind', 'series_key', 'task_run_id']) }} as anomaly_key,
        kind,
        metric,
        env_id,
        env_name,
        pipeline_id,
        pipeline_name,
        subject,
        pipeline_run_id,
        task_run_id,
        completed_at as happened_at,
        measure as measured,
        usual,
        allowed,
        runs_before,
        coalesce(kind_before, '') != kind as is_first,
        {{ days_between(utc_date('completed_at'), utc_date('newest.as_of')) }}
        <= {{ var('anomaly_recent_days') }} as is_recent,
        case kind
            when 'failing'
                then concat(
                    subject, ' failed in ', {{ whole('measure') }}, ' of its last {{ var("anomaly_last_runs") }} runs'
                )
            when 'slow'
                then concat(
                    subject, ' took ', {{ whole('measure') }}, ' s; usual are ', {{ whole('usual') }}, ' s, at most ',
                    {{ whole('usual + allowed') }}, ' s'
                )
            when 'no_rows'
                then concat(subject, ' got no rows; usual are ', {{ whole('usual') }})
            else
                concat(
                    subject, ' got ', {{ whole('measure') }}, ' rows; usual are ', {{ whole('usual') }}, ', at least ',
                    {{ whole('greatest(usual - allowed, 0)') }}, ' and at most ', {{ whole('usual + allowed') }}
                )
        end as message
    from followed
    cross join newest
    where kind is not null

)

select * from final
