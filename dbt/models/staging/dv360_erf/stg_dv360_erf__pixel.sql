with

source as (

    select * from {{ source('dv360_erf', 'pixel') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as pixel_id,
        advertiser_id,
        partner_id,
        dcm_floodlight_id as cm_floodlight_id,

        -- attributes
        {{ text('common_data.name') }} as pixel_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        {{ text('dcm_floodlight_name') }} as cm_floodlight_name,
        allow_google_redirect,
        allow_rm_redirect,
        remarketing_enabled as is_remarketing_enabled,
        is_secure,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
