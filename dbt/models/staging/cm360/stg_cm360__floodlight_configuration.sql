with

source as (

    select * from {{ source('cm360', 'floodlight_configuration') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as floodlight_configuration_id,
        advertiser_id,
        subaccount_id,

        -- attributes
        analytics_data_sharing_enabled,
        exposure_to_conversion_enabled,
        first_day_of_week,
        in_app_attribution_tracking_enabled,
        kind,
        natural_search_conversion_attribution_option,

        -- records and lists, as they came
        advertiser_id_dimension_value,
        custom_viewability_metric,
        id_dimension_value,
        lookback_configuration,
        omniture_settings,
        tag_settings,
        third_party_authentication_tokens,
        user_defined_variable_configurations,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
