-- The rule is in words in docs/operations.md.
with

judged as (

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
        measure_id,
        completed_at,
        measure,
        usual,
        allowed,
        runs_before
    from {{ ref('int_measures_judged') }}

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
        task_run_id as measure_id,
        completed_at,
        {{ money('failed_now') }} as measure,
        {{ money(var('anomaly_last_runs') ~ ' * failed_before / nullif(runs_before, 0)') }} as usual,
        {{ no_money() }} as allowed,
        runs_before
    from {{ ref('int_failures_judged') }}

),

followed as (

    select
        judged.*,
        lag(kind) over (partition by metric, series_key order by place) as kind_before
    from judged

),

newest as (

    select max(loaded_at) as as_of from {{ ref('stg_ops__task_runs') }}

),

final as (

    select
        {{ joined(['kind', 'series_key', 'measure_id']) }} as anomaly_key,
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
                    subject,
                    ' failed in ', {{ whole('measure') }}, ' of its last {{ var("anomaly_last_runs") }} runs'
                )
            when 'slow'
                then concat(
                    subject,
                    ' took ', {{ whole('measure') }}, ' s; usually ', {{ whole('usual') }},
                    ', at most ', {{ whole('usual + allowed') }}
                )
            when 'no_rows'
                then concat(subject, ' got no rows; usually ', {{ whole('usual') }})
            when 'few_rows'
                then concat(
                    subject,
                    ' got ', {{ whole('measure') }}, case when measure = 1 then ' row' else ' rows' end,
                    '; usually ', {{ whole('usual') }}, ', at least ', {{ whole('usual - allowed') }}
                )
            else
                concat(
                    subject,
                    ' got ', {{ whole('measure') }}, ' rows; usually ', {{ whole('usual') }},
                    ', at most ', {{ whole('usual + allowed') }}
                )
        end as message
    from followed
    cross join newest
    where kind is not null

)

select * from final
