with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        line_item_id,
        insertion_order_id,
        line_item_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        line_item_type,
        start_date,
        end_date
    from {{ ref('stg_dv360__line_item') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        line_item_id,
        insertion_order_id,
        line_item_name,
        coalesce(is_active, false) as is_active,
        {{ no_text() }} as line_item_type,
        start_date,
        end_date
    from {{ ref('stg_dv360_erf__line_item') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

)

select * from dv360
