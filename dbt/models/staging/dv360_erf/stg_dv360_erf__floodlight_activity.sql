with

source as (

    select * from {{ source('dv360_erf', 'floodlight_activity') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as floodlight_activity_id,
        advertiser_id,
        partner_id,

        -- attributes
        {{ text('common_data.name') }} as floodlight_activity_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        remarketing_enabled as is_remarketing_enabled,
        ssl_required as is_ssl_required,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
