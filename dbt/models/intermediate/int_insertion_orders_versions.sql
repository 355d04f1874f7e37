{{ versions(
    observed=ref('int_insertion_orders_observed'),
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
) }}
