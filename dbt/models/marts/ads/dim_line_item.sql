with

spans as (

    {{ dimension(
        observed=ref('int_line_items_observed'),
        remembered=ref('snap_line_item'),
        key='line_item_id',
        attributes=[
            'insertion_order_id',
            'line_item_name',
            'is_active',
            'line_item_type',
            'start_date',
            'end_date'
        ]
    ) | indent(4) }}

),

final as (

    select
        entity_version as line_item_key,
        line_item_id,
        insertion_order_id,
        line_item_name,
        is_active,
        line_item_type,
        start_date,
        end_date,
        valid_from,
        valid_to,
        is_current
    from spans

)

select * from final
