with

source as (

    select * from {{ source('ops', 'pipeline_runs') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        id as pipeline_run_id,
        pipeline_id,
        account_id,
        env_id,
        backfill_id,

        -- attributes
        pipeline_name,
        env_name,
        run_status,
        message,
        created_at,
        updated_at,
        started_at,
        completed_at,
        branch,
        commit as commit_id,
        pipeline_version,
        interval_start,
        interval_end,
        engine_version,

        -- as it came
        triggered_by,
        child_pipeline_runs,
        run_inputs,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
