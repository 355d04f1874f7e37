with

spans as (

    {{ dimension(
        observed=ref('int_partners_observed'),
        remembered=ref('snap_partner'),
        key='partner_id',
        attributes=['partner_name', 'is_active', 'currency_code']
    ) | indent(4) }}

),

final as (

    select
        entity_version as partner_key,
        partner_id,
        partner_name,
        is_active,
        currency_code,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
