with

source as (

    select * from {{ source('dv360', 'floodlight_group') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        floodlight_group_id,

        -- attributes
        display_name as floodlight_group_name,
        name as resource_name,
        web_tag_type,

        -- records and lists, as they came
        active_view_config,
        custom_variables,
        lookback_window,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
