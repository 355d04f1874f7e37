with

source as (

    select * from {{ source('cm360', 'account') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        id as account_id,
        country_id,
        currency_id,
        default_creative_size_id,

        -- attributes
        account_profile,
        active as is_active,
        active_ads_limit_tier,
        active_view_opt_out,
        description as account_description,
        kind,
        locale,
        maximum_image_size,
        name as account_name,
        nielsen_ocr_enabled,
        share_reports_with_twitter,
        teaser_size_limit,

        -- records and lists, as they came
        account_permission_ids,
        available_permission_ids,
        reports_configuration,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
