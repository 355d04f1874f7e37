with

source as (

    select * from {{ source('ops', 'task_runs') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        id as task_run_id,
        pipeline_run_id,
        pipeline_id,
        task_id,
        connection_id,
        env_id,

        -- attributes
        pipeline_name,
        task_name,
        status,
        message,
        external_message,
        platform_link,
        integration,
        kind,
        env_name,
        attempt,
        exit_code,
        created_at,
        updated_at,
        started_at,
        completed_at,
        api_requests,

        -- as it came
        task_parameters,
        outputs,
        metrics,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
