with

links as (

    select
        creative_id,
        cm_placement_id as placement_id
    from {{ ref('dim_creative') }}
    where
        platform = 'dv360'
        and is_current
        and cm_placement_id is not null

),

dv360 as (

    select
        delivery.report_date,
        links.placement_id,
        sum(delivery.impressions) as impressions,
        sum(delivery.clicks) as clicks
    from {{ ref('fct_delivery_daily') }} as delivery
    inner join links on delivery.creative_id = links.creative_id
    where delivery.platform = 'dv360'
    group by 1, 2

),

cm360 as (

    select
        report_date,
        placement_id,
        sum(impressions) as impressions,
        sum(clicks) as clicks
    from {{ ref('fct_delivery_daily') }}
    where
        platform = 'cm360'
        and placement_id in (select placement_id from links)
    group by 1, 2

),

paired as (

    select
        coalesce(dv360.report_date, cm360.report_date) as report_date,
        coalesce(dv360.placement_id, cm360.placement_id) as placement_id,
        dv360.placement_id is not null as is_in_dv360,
        cm360.placement_id is not null as is_in_cm360,
        cast(coalesce(dv360.impressions, 0) as bigint) as dv360_impressions,
        cast(coalesce(cm360.impressions, 0) as bigint) as cm360_impressions,
        cast(coalesce(dv360.clicks, 0) as bigint) as dv360_clicks,
        cast(coalesce(cm360.clicks, 0) as bigint) as cm360_clicks
    from dv360
    full outer join cm360
        on
            dv360.report_date = cm360.report_date
            and dv360.placement_id = cm360.placement_id

),

compared as (

    select
        paired.*,
        cm360_impressions - dv360_impressions as impression_gap,
        {{ ratio(
            '(cm360_impressions - dv360_impressions)', 'dv360_impressions'
        ) | indent(8) }} as impression_gap_pct
    from paired

),

final as (

    select
        {{ joined(['report_date', 'placement_id']) }} as reconciliation_key,
        report_date,
        placement_id,
        dv360_impressions,
        cm360_impressions,
        impression_gap,
        impression_gap_pct,
        dv360_clicks,
        cm360_clicks,
        cm360_clicks - dv360_clicks as click_gap,
        case
            when not is_in_dv360 then 'cm360_only'
            when not is_in_cm360 then 'dv360_only'
            when abs(impression_gap_pct) <= {{ money("'0.05'") }} then 'matched'
            else 'gap'
        end as status
    from compared

)

select * from final
