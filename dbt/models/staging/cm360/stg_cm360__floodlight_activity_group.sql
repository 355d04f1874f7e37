with

source as (

    select * from {{ source('cm360', 'floodlight_activity_group') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as floodlight_activity_group_id,
        advertiser_id,
        floodlight_configuration_id,
        subaccount_id,

        -- attributes
        kind,
        name as floodlight_activity_group_name,
        tag_string,
        type as floodlight_activity_group_type,

        -- records and lists, as they came
        advertiser_id_dimension_value,
        floodlight_configuration_id_dimension_value,
        id_dimension_value,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
