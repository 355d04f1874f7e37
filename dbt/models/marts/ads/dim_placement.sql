with

spans as (

    {{ dimension(
        observed=ref('int_placements_observed'),
        remembered=ref('snap_placement'),
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
    ) | indent(4) }}

),

final as (

    select
        entity_version as placement_key,
        placement_id,
        campaign_id,
        advertiser_id,
        site_id,
        placement_name,
        is_active,
        compatibility,
        width,
        height,
        start_date,
        end_date,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
