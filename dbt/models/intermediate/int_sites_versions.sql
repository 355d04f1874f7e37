{{ versions(
    observed=ref('int_sites_observed'),
    key='site_id',
    attributes=['site_name', 'is_active', 'directory_site_id']
) }}
