with

source as (

    select * from {{ source('dv360', 'line_item') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        line_item_id,
        advertiser_id,
        campaign_id,
        insertion_order_id,

        -- attributes
        contains_eu_political_ads,
        display_name as line_item_name,
        entity_status,
        exclude_new_exchanges,
        line_item_type,
        name as resource_name,
        optimize_fixed_bidding,
        reservation_type,
        update_time as updated_at,

        -- flattened from records
        {{ date_of('flight.date_range.start_date') }} as start_date,
        {{ date_of('flight.date_range.end_date') }} as end_date,

        -- records and lists, as they came
        bid_strategy,
        budget,
        conversion_counting,
        creative_ids,
        demand_gen_settings,
        flight,
        frequency_cap,
        integration_details,
        mobile_app,
        pacing,
        partner_costs,
        partner_revenue_model,
        targeting_expansion,
        warning_messages,
        youtube_and_partners_settings,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
