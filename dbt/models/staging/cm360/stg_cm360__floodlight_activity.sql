with

source as (

    select * from {{ source('cm360', 'floodlight_activity') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as floodlight_activity_id,
        advertiser_id,
        floodlight_activity_group_id,
        floodlight_configuration_id,
        subaccount_id,

        -- attributes
        attribution_enabled,
        cache_busting_type,
        conversion_category,
        counting_method,
        expected_url,
        floodlight_activity_group_name,
        floodlight_activity_group_tag_string,
        floodlight_activity_group_type,
        floodlight_tag_type,
        kind,
        name as floodlight_activity_name,
        notes,
        secure as is_secure,
        ssl_compliant as is_ssl_compliant,
        ssl_required as is_ssl_required,
        status,
        tag_format,
        tag_string,

        -- records and lists, as they came
        advertiser_id_dimension_value,
        default_tags,
        floodlight_configuration_id_dimension_value,
        id_dimension_value,
        publisher_tags,
        user_defined_variable_types,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
