with

source as (

    select * from {{ source('cm360', 'advertiser') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as advertiser_id,
        advertiser_group_id,
        default_click_through_event_tag_id,
        floodlight_configuration_id,
        original_floodlight_configuration_id,
        subaccount_id,

        -- attributes
        click_through_url_suffix,
        default_email,
        eu_political_ads_declaration,
        kind,
        name as advertiser_name,
        status,
        suspended as is_suspended,

        -- records and lists, as they came
        floodlight_configuration_id_dimension_value,
        id_dimension_value,
        measurement_partner_link,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
