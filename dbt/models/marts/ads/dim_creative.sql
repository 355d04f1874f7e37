with

spans as (

    {{ dimension(
        observed=ref('int_creatives_observed'),
        remembered=ref('snap_creative'),
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
    ) | indent(4) }}

),

final as (

    select
        entity_version as creative_key,
        platform,
        creative_id,
        advertiser_id,
        creative_name,
        is_active,
        creative_type,
        width,
        height,
        cm_placement_id,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
