{{ versions(
    observed=ref('int_placements_observed'),
    key='placement_id',
    attributes=[
        'campaign_id',
        'advertiser_id',
        'site_id',
        'placement_name',
        'is_active',
        'compatibility',
        'width',
        'height',
        'start_date',
        'end_date'
    ]
) }}
