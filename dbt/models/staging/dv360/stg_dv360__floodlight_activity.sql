with

source as (

    select * from {{ source('dv360', 'floodlight_activity') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        floodlight_activity_id,
        floodlight_group_id,

        -- attributes
        display_name as floodlight_activity_name,
        name as resource_name,
        serving_status,
        ssl_required as is_ssl_required,

        -- records and lists, as they came
        advertiser_ids,
        remarketing_configs,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
