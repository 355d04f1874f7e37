{{ versions(
    observed=ref('int_advertisers_observed'),
    key='advertiser_id',
    attributes=['advertiser_name', 'is_active', 'currency_code', 'time_zone']
) }}
