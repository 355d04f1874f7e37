with

spans as (

    {{ dimension(
        observed=ref('int_insertion_orders_observed'),
        remembered=ref('snap_insertion_order'),
        key='insertion_order_id',
        attributes=[
            'campaign_id',
            'advertiser_id',
            'insertion_order_name',
            'is_active',
            'budget_amount',
            'start_date',
            'end_date'
        ]
    ) | indent(4) }}

),

final as (

    select
        entity_version as insertion_order_key,
        insertion_order_id,
        campaign_id,
        advertiser_id,
        insertion_order_name,
        is_active,
        budget_amount,
        start_date,
        end_date,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
