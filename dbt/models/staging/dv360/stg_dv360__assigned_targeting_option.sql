with

source as (

    select * from {{ source('dv360', 'assigned_targeting_option') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        advertiser_id,
        line_item_id,

        -- attributes
        assigned_targeting_option_id,
        targeting_type,
        assigned_targeting_option_id_alias,
        inheritance,
        name as resource_name,

        -- records and lists, as they came
        details,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
