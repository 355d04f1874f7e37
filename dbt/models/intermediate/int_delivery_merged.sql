{{ config(materialized='view') }}

with

dv360 as (

    select
        'dv360' as platform,
        report_date,
        partner_id as account_id,
        advertiser_id,
        campaign_id,
        insertion_order_id,
        line_item_id,
        {{ no_id() }} as site_id,
        {{ no_id() }} as placement_id,
        {{ no_id() }} as ad_id,
        creative_id,
        advertiser_currency as currency_code,
        impressions,
        billable_impressions,
        clicks,
        total_conversions as conversions,
        post_click_conversions,
        post_view_conversions,
        media_cost_advertiser as media_cost,
        media_cost_usd,
        revenue_advertiser as revenue,
        loaded_at
    from {{ ref('stg_dv360__report_standard') }}

),

cm360 as (

    select
        'cm360' as platform,
        report_date,
        account_id,
        advertiser_id,
        campaign_id,
        {{ no_id() }} as insertion_order_id,
        {{ no_id() }} as line_item_id,
        site_id,
        placement_id,
        ad_id,
        creative_id,
        {{ no_text() }} as currency_code,
        impressions,
        {{ no_id() }} as billable_impressions,
        clicks,
        total_conversions as conversions,
        click_through_conversions as post_click_conversions,
        view_through_conversions as post_view_conversions,
        media_cost,
        {{ no_money() }} as media_cost_usd,
        {{ no_money() }} as revenue,
        loaded_at
    from {{ ref('stg_cm360__report_standard') }}

)

select * from dv360
union all
select * from cm360
