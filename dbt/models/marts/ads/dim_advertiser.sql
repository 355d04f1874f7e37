with

spans as (

    {{ dimension(
        observed=ref('int_advertisers_observed'),
        remembered=ref('snap_advertiser'),
        key='advertiser_id',
        attributes=['advertiser_name', 'is_active', 'currency_code', 'time_zone']
    ) | indent(4) }}

),

final as (

    select
        entity_version as advertiser_key,
        platform,
        advertiser_id,
        account_id,
        advertiser_name,
        is_active,
        currency_code,
        time_zone,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
