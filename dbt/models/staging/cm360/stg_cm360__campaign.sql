with

source as (

    select * from {{ source('cm360', 'campaign') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as campaign_id,
        advertiser_group_id,
        advertiser_id,
        default_landing_page_id,
        subaccount_id,

        -- attributes
        archived as is_archived,
        billing_invoice_code,
        comment,
        end_date,
        eu_political_ads_declaration,
        external_id,
        kind,
        name as campaign_name,
        start_date,

        -- records and lists, as they came
        ad_blocking_configuration,
        additional_creative_optimization_configurations,
        advertiser_id_dimension_value,
        audience_segment_groups,
        click_through_url_suffix_properties,
        create_info,
        creative_group_ids,
        creative_optimization_configuration,
        default_click_through_event_tag_properties,
        event_tag_overrides,
        id_dimension_value,
        last_modified_info,
        measurement_partner_link,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
