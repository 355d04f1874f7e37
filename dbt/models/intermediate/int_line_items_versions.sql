{{ versions(
    observed=ref('int_line_items_observed'),
    key='line_item_id',
    attributes=[
        'insertion_order_id',
        'line_item_name',
        'is_active',
        'line_item_type',
        'start_date',
        'end_date'
    ]
) }}
