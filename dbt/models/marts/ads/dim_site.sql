with

spans as (

    {{ dimension(
        observed=ref('int_sites_observed'),
        remembered=ref('snap_site'),
        key='site_id',
        attributes=['site_name', 'is_active', 'directory_site_id']
    ) | indent(4) }}

),

final as (

    select
        entity_version as site_key,
        site_id,
        site_name,
        is_active,
        directory_site_id,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
