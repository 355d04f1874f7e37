with

source as (

    select * from {{ source('dv360', 'creative') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        creative_id,
        advertiser_id,
        cm_placement_id,

        -- attributes
        appended_tag,
        create_time as created_at,
        creative_type,
        display_name as creative_name,
        dynamic as is_dynamic,
        entity_status,
        expand_on_hover,
        expanding_direction,
        hosting_source,
        html5_video,
        ias_campaign_monitoring,
        integration_code,
        js_tracker_url,
        media_duration,
        mp3_audio,
        name as resource_name,
        notes,
        ogg_audio,
        require_html5,
        require_mraid,
        require_ping_for_attribution,
        skippable as is_skippable,
        synthetic_content_attestation_status,
        third_party_tag,
        update_time as updated_at,
        vast_tag_url,
        vpaid as is_vpaid,

        -- flattened from records
        dimensions.width_pixels as width,
        dimensions.height_pixels as height,

        -- records and lists, as they came
        additional_dimensions,
        assets,
        cm_tracking_ad,
        companion_creative_ids,
        counter_events,
        creative_attributes,
        dimensions,
        exit_events,
        line_item_ids,
        oba_icon,
        progress_offset,
        review_status,
        skip_offset,
        third_party_urls,
        timer_events,
        tracker_urls,
        transcodes,
        universal_ad_id,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
