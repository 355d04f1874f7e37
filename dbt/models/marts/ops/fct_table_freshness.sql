with

tables as (

    {{ newest_rows(ref('stg_ops__assets'), 'asset_id') | indent(4) }}

),

newest as (

    select max(loaded_at) as as_of from {{ ref('stg_ops__assets') }}

),

final as (

    select
        tables.asset_id,
        tables.env_id,
        tables.env_name,
        tables.asset_name as table_name,
        tables.pipeline_id,
        tables.pipeline_run_id,
        tables.last_success as last_success_at,
        {{ hours_between('tables.last_success', 'newest.as_of') }} as hours_since_success,
        tables.interval_start as data_from,
        tables.interval_end as data_until,
        {{ days_between('tables.interval_end', utc_date('newest.as_of')) }} as days_behind,
        newest.as_of
    from tables
    cross join newest
    where tables.asset_type in ('TABLE', 'VIEW')

)

select * from final
