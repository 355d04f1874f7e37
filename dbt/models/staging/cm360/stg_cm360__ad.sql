with

source as (

    select * from {{ source('cm360', 'ad') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as ad_id,
        advertiser_id,
        audience_segment_id,
        campaign_id,
        subaccount_id,
        targeting_template_id,

        -- attributes
        active as is_active,
        archived as is_archived,
        comments,
        compatibility,
        dynamic_click_tracker,
        end_time as ends_at,
        kind,
        name as ad_name,
        ssl_compliant as is_ssl_compliant,
        ssl_required as is_ssl_required,
        start_time as starts_at,
        type as ad_type,

        -- records and lists, as they came
        advertiser_id_dimension_value,
        campaign_id_dimension_value,
        click_through_url,
        click_through_url_suffix_properties,
        contextual_keyword_targeting,
        create_info,
        creative_group_assignments,
        creative_rotation,
        day_part_targeting,
        default_click_through_event_tag_properties,
        delivery_schedule,
        event_tag_overrides,
        geo_targeting,
        id_dimension_value,
        key_value_targeting_expression,
        language_targeting,
        last_modified_info,
        placement_assignments,
        remarketing_list_expression,
        size as size_detail,
        technology_targeting,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
