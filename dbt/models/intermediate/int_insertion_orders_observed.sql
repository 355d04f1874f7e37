with

api as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        insertion_order_id,
        campaign_id,
        advertiser_id,
        insertion_order_name,
        coalesce(entity_status = 'ENTITY_STATUS_ACTIVE', false) as is_active,
        budget_amount,
        start_date,
        end_date
    from {{ ref('stg_dv360__insertion_order') }}

),

erf as (

    select
        'dv360' as platform,
        account_id,
        snapshot_date,
        insertion_order_id,
        campaign_id,
        advertiser_id,
        insertion_order_name,
        coalesce(is_active, false) as is_active,
        budget_amount,
        start_date,
        end_date
    from {{ ref('stg_dv360_erf__insertion_order') }}

),

dv360 as (

    {{ api_before_erf('api', 'erf') | indent(4) }}

)

select * from dv360
