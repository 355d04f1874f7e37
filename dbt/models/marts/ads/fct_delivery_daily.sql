{{ config(
    materialized='incremental',
    incremental_strategy=by_day_strategy(),
    unique_key='report_date',
    on_schema_change='fail',
    pre_hook='{{ delete_vanished_days("int_delivery_merged") }}',
    meta={'days_of': 'int_delivery_merged'},
    partition_by=by_day_partition('report_date'),
    cluster_by=clustered_by(['platform', 'advertiser_id', 'line_item_id'])
) }}

with

{% if is_incremental() -%}
    raw_slices as (

        {{ slices(ref('int_delivery_merged'), 'loaded_at') | indent(8) }}

    ),

    mart_slices as (

        {{ slices(this, '_loaded_at') | indent(8) }}

    ),

    changed_days as (

        select distinct coalesce(raw_slices.report_date, mart_slices.report_date) as report_date
        from raw_slices
        full outer join mart_slices
            on
                raw_slices.platform = mart_slices.platform
                and raw_slices.account_id = mart_slices.account_id
                and raw_slices.report_date = mart_slices.report_date
        where
            raw_slices.report_date is null
            or mart_slices.report_date is null
            or raw_slices.row_count != mart_slices.row_count
            or raw_slices.loaded_at != mart_slices.loaded_at

    ),
{%- endif %}

delivery as (

    select * from {{ ref('int_delivery_merged') }}
    {% if is_incremental() %}
        where
            {{ looked_at('report_date') }}
            and report_date in (select report_date from changed_days)
    {% endif %}

),

final as (

    select
        {{ joined([
            'platform',
            'report_date',
            'advertiser_id',
            'campaign_id',
            'insertion_order_id',
            'line_item_id',
            'site_id',
            'placement_id',
            'ad_id',
            'creative_id'
        ]) }} as delivery_key,
        platform,
        report_date,
        account_id,
        advertiser_id,
        campaign_id,
        insertion_order_id,
        line_item_id,
        site_id,
        placement_id,
        ad_id,
        creative_id,
        currency_code,
        impressions,
        billable_impressions,
        clicks,
        conversions,
        post_click_conversions,
        post_view_conversions,
        media_cost,
        media_cost_usd,
        revenue,
        loaded_at as _loaded_at
    from delivery

)

select * from final
