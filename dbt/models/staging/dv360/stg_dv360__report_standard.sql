with

source as (

    select * from {{ source('dv360', 'report_standard') }}
    {{ every_day('date') }}

),

renamed as (

    select
        -- keys
        date as report_date,
        partner_id,
        advertiser_id,
        campaign_id,
        insertion_order_id,
        line_item_id,
        creative_id,

        -- attributes
        {{ text('advertiser') }} as advertiser_name,
        {{ text('advertiser_currency') }} as advertiser_currency,
        {{ text('advertiser_time_zone') }} as advertiser_time_zone,
        {{ text('campaign') }} as campaign_name,
        {{ text('insertion_order') }} as insertion_order_name,
        {{ text('line_item') }} as line_item_name,
        {{ text('creative') }} as creative_name,

        -- measures
        impressions,
        billable_impressions,
        clicks,
        {{ money('total_conversions') }} as total_conversions,
        {{ money('post_click_conversions') }} as post_click_conversions,
        {{ money('post_view_conversions') }} as post_view_conversions,
        {{ money('media_cost_advertiser') }} as media_cost_advertiser,
        {{ money('media_cost_partner') }} as media_cost_partner,
        {{ money('media_cost_usd') }} as media_cost_usd,
        {{ money('revenue_advertiser') }} as revenue_advertiser,
        {{ money('revenue_partner') }} as revenue_partner,
        {{ money('revenue_usd') }} as revenue_usd,

        -- adelt
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
