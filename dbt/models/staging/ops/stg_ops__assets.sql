with

source as (

    select * from {{ source('ops', 'assets') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        asset_id,
        env_id,
        pipeline_id,
        pipeline_run_id,

        -- attributes
        asset_name,
        asset_type,
        env_name,
        integration,
        last_success,
        interval_start,
        interval_end,
        updated_at,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
