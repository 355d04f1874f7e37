{{ versions(
    observed=ref('int_campaigns_observed'),
    key='campaign_id',
    attributes=['advertiser_id', 'campaign_name', 'is_active', 'start_date', 'end_date']
) }}
