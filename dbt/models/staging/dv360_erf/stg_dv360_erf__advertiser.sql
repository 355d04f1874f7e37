with

source as (

    select * from {{ source('dv360_erf', 'advertiser') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as advertiser_id,
        partner_id,
        dcm_network_id as cm_network_id,
        dcm_floodlight_group_id as cm_floodlight_group_id,

        -- attributes
        {{ text('common_data.name') }} as advertiser_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        {{ text('currency_code') }} as currency_code,
        {{ text('timezone_code') }} as time_zone,
        {{ text('landing_page_url') }} as landing_page_url,
        dcm_configuration as cm_configuration,
        {{ text('dcm_network_name') }} as cm_network_name,
        {{ text('dcm_advertiser_name') }} as cm_advertiser_name,
        enable_oba_tags,

        -- records and lists, as they came
        available_channel_ids,
        blacklist_channel_id as blacklist_channel_ids,
        dcm_advertiser_id as cm_advertiser_ids,
        dcm_syncable_site_ids as cm_syncable_site_ids,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
