with

source as (

    select * from {{ source('cm360', 'creative') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as creative_id,
        advertiser_id,
        latest_trafficked_creative_id,
        rendering_id,
        studio_advertiser_id,
        studio_creative_id,
        studio_trafficked_creative_id,
        subaccount_id,

        -- attributes
        active as is_active,
        ad_parameters,
        allow_script_access,
        archived as is_archived,
        artwork_type,
        authoring_source,
        authoring_tool,
        auto_advance_images,
        background_color,
        backup_image_reporting_label,
        commercial_id,
        convert_flash_to_html5,
        html_code,
        html_code_locked as is_html_code_locked,
        kind,
        media_description,
        media_duration,
        name as creative_name,
        override_css,
        redirect_url,
        required_flash_plugin_version,
        required_flash_version,
        skippable as is_skippable,
        ssl_compliant as is_ssl_compliant,
        ssl_override,
        synthetic_content_attestation_status,
        third_party_backup_image_impressions_url,
        third_party_rich_media_impressions_url,
        total_file_size,
        type as creative_type,
        version,

        -- flattened from records
        size.width as width,
        size.height as height,

        -- records and lists, as they came
        ad_tag_keys,
        additional_asset,
        additional_sizes,
        backup_image_click_through_url,
        backup_image_features,
        backup_image_target_window,
        click_tags,
        companion_creatives,
        compatibility,
        counter_custom_events,
        creative_assets,
        creative_field_assignments,
        custom_key_values,
        exit_custom_events,
        fs_command,
        id_dimension_value,
        last_modified_info,
        oba_icon,
        progress_offset,
        rendering_id_dimension_value,
        size as size_detail,
        skip_offset,
        third_party_urls,
        timer_custom_events,
        universal_ad_id,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
