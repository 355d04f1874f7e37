with

source as (

    select * from {{ source('cm360', 'report_standard') }}
    {{ every_day('date') }}

),

renamed as (

    select
        -- keys
        date as report_date,
        _account_id as account_id,
        advertiser_id,
        campaign_id,
        site_id,
        placement_id,
        ad_id,
        creative_id,

        -- attributes
        {{ text('advertiser') }} as advertiser_name,
        {{ text('campaign') }} as campaign_name,
        {{ text('site') }} as site_name,
        {{ text('placement') }} as placement_name,
        {{ text('ad') }} as ad_name,
        {{ text('creative') }} as creative_name,

        -- measures
        impressions,
        clicks,
        {{ money('media_cost') }} as media_cost,
        {{ money('total_conversions') }} as total_conversions,
        {{ money('click_through_conversions') }} as click_through_conversions,
        {{ money('view_through_conversions') }} as view_through_conversions,

        -- adelt
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
