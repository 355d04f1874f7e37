{{ versions(
    observed=ref('int_creatives_observed'),
    key='creative_id',
    attributes=[
        'advertiser_id',
        'creative_name',
        'is_active',
        'creative_type',
        'width',
        'height',
        'cm_placement_id'
    ]
) }}
