with

daily as (

    select
        env_id,
        table_name,
        {{ utc_date('completed_at') }} as load_date,
        max(env_name) as env_name,
        count(*) as loads,
        {{ total('row_count') }} as rows_loaded,
        {{ total('byte_count') }} as bytes_loaded,
        {{ money('sum(duration_s)') }} as duration_s,
        {{ total('bytes_billed') }} as bytes_billed,
        max(completed_at) as last_loaded_at
    from {{ ref('int_table_loads') }}
    where completed_at is not null
    group by 1, 2, 3

),

final as (

    select
        {{ joined(['env_id', 'table_name', 'load_date']) }} as table_load_key,
        env_id,
        env_name,
        table_name,
        load_date,
        loads,
        rows_loaded,
        bytes_loaded,
        duration_s,
        bytes_billed,
        last_loaded_at
    from daily

)

select * from final
