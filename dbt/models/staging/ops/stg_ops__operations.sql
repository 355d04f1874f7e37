with

source as (

    select * from {{ source('ops', 'operations') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        id as operation_id,
        task_run_id,
        pipeline_run_id,
        pipeline_id,
        task_id,
        asset_id,
        env_id,

        -- attributes
        pipeline_name,
        task_name,
        operation_type,
        operation_name,
        asset_name,
        env_name,
        status,
        message,
        integration,
        rows_affected,
        bytes,
        operation_duration,
        external_id,
        bytes_billed,
        slot_ms,
        started_at,
        completed_at,
        created_at,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
