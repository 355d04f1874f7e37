{{ versions(
    observed=ref('int_partners_observed'),
    key='partner_id',
    attributes=['partner_name', 'is_active', 'currency_code']
) }}
