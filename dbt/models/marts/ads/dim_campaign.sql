with

spans as (

    {{ dimension(
        observed=ref('int_campaigns_observed'),
        remembered=ref('snap_campaign'),
        key='campaign_id',
        attributes=['advertiser_id', 'campaign_name', 'is_active', 'start_date', 'end_date']
    ) | indent(4) }}

),

final as (

    select
        entity_version as campaign_key,
        platform,
        campaign_id,
        advertiser_id,
        campaign_name,
        is_active,
        start_date,
        end_date,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
