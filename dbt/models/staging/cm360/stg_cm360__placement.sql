with

source as (

    select * from {{ source('cm360', 'placement') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as placement_id,
        ad_serving_platform_id,
        advertiser_id,
        campaign_id,
        content_category_id,
        directory_site_id,
        placement_group_id,
        placement_strategy_id,
        site_id,
        subaccount_id,

        -- attributes
        active_status,
        ad_blocking_opt_out,
        allow_on_youtube,
        comment,
        compatibility,
        external_id,
        key_name,
        kind,
        name as placement_name,
        payment_approved as is_payment_approved,
        payment_source,
        source.primary as is_primary,
        site_served as is_site_served,
        ssl_required as is_ssl_required,
        status,
        video_active_view_opt_out,
        vpaid_adapter_choice,
        wrapping_opt_out,

        -- flattened from records
        size.width as width,
        size.height as height,
        pricing_schedule.start_date as start_date,
        pricing_schedule.end_date as end_date,
        pricing_schedule.pricing_type as pricing_type,

        -- records and lists, as they came
        additional_sizes,
        advertiser_id_dimension_value,
        campaign_id_dimension_value,
        conversion_domain_override,
        create_info,
        directory_site_id_dimension_value,
        id_dimension_value,
        last_modified_info,
        lookback_configuration,
        partner_wrapping_data,
        placement_group_id_dimension_value,
        pricing_schedule,
        publisher_update_info,
        site_id_dimension_value,
        size as size_detail,
        tag_formats,
        tag_setting,
        video_settings,
        youtube_settings,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
